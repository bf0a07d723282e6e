/*
 * lack NUMBER[,NUMBER…] COMMAND…: runs the command as on a kernel without these system calls: they fail with ENOSYS.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NUMBER_MAX = 32 };

int main(int argc, char **argv)
{
    struct sock_filter code[2 * NUMBER_MAX + 2] = { { BPF_LD | BPF_W | BPF_ABS, 0, 0,
                                                      offsetof(struct seccomp_data, nr) } };
    struct sock_fprog program = { 1, code };
    char *end;

    if (argc < 3)
        return 2;
    for (end = argv[1]; *end != '\0' && program.len < 2 * NUMBER_MAX; end += *end == ',') {
        code[program.len++] = (struct sock_filter){ BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)strtoul(end, &end, 10) };
        code[program.len++] = (struct sock_filter){ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS };
    }
    code[program.len++] = (struct sock_filter){ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
        return 2;
    execvp(argv[2], argv + 2);
    fprintf(stderr, "lack: %s: %s\n", argv[2], strerror(errno));
    return 127;
}
