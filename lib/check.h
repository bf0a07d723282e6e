/*
 * Our own asserts, on in every build.
 *
 * CHECK is for our bugs only: a condition that no input, no full disk and no hostile peer can make
 * false. When it fails the process says where and ends by abort(); recovery takes it from there.
 * What the world can cause is an error (err.h), never a CHECK. One condition each.
 */
#ifndef GRAFTD_LIB_CHECK_H
#define GRAFTD_LIB_CHECK_H

#define CHECK(cond) ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))

/* Prints one line to stderr and aborts. */
_Noreturn void check_failed(const char *file, int line, const char *cond);

#endif
