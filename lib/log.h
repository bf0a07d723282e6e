/*
 * One line per event on stderr: level, sentence. Control bytes are replaced, so that nobody who is quoted
 * in a line can start another one. No time stamp when stderr belongs to the journal, which has its own.
 */
#ifndef GRAFTD_LIB_LOG_H
#define GRAFTD_LIB_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

enum { LOG_LINE_MAX = 1536 }; /* bytes; longer lines are cut */

void log_threshold(enum log_level level); /* lines below it are dropped; LOG_INFO at start */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
