/*
 * The attacks that are more than one system call, or none: a function each. As in attack.h, the result is a system call's,
 * and nothing is left behind where it had its effect.
 */
#ifndef TESTS_ESCAPE_ATTACK_CODE_H
#define TESTS_ESCAPE_ATTACK_CODE_H

/* ---- files ---- */

long make_file(void);
long make_dir(void);
long make_link(void);
long climb_out(void);
long open_how(void);

/* ---- descriptors ---- */

long pass_descriptor(void);

/* ---- exec and clone ---- */

long fork_old(void);
long fork_clone(void);
long fork_user(void);
long fork_pids(void);
long fork_clone3(void);
long exec_memfd(void);
long exec_shell(void);
long exec_self(void);

/* ---- network ---- */

long connect_path(void);
long connect_abstract(void);
long bind_abstract(void);
long tcp_connect(void);
long tcp_bind(void);

/* ---- signals and peers ---- */

long signal_parent(void);
long trace_parent(void);
long read_parent(void);
long write_parent(void);
long steal_descriptor(void);

/* ---- memory ---- */

long run_written(void);
long run_shared(void);
long unmap_code(void);
long write_constant(void);
long map_bomb(void);
long kernel_memory(void);
long no_memory(void);
long run_data(void);

/* ---- instructions ---- */

long instruction_in(void);
long instruction_hlt(void);
long instruction_msr(void);
long instruction_cr(void);
long instruction_vsyscall(void);

/* ---- old ABIs ---- */

long int80_getpid(void);
long int80_open(void);
long int80_fork(void);
long int80_exit(void);
long int80_socketcall(void);
long forged_frame(void);

#endif
