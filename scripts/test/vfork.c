/*
 * fork() as vfork(), for a process of the tests: LD_PRELOAD puts it in front of the C library's.
 *
 * libuv starts programs with fork(), which copies the page tables of a process that may have 500 MB, some 20,000 times in a run of the tests:
 * vfork() copies nothing, and lets the parent wait until the program runs. What libuv does between the two in the child is allowed there, but for
 * one thing: it sets `environ`, which is the parent's too and is put back here. Its options `uid` and `gid` are not allowed: the C library
 * would change all threads. The return address must be kept off the stack, because the child returns first, and uses the stack again.
 */
#if !defined(__linux__) || !defined(__x86_64__)
#error "written for Linux on x86-64"
#endif

__asm__(".globl fork\n"
        ".type fork, @function\n"
        "fork:\n"
        "  pop %rdi\n"
        "  mov environ@GOTPCREL(%rip), %rdx\n"
        "  mov (%rdx), %rsi\n"
        "  mov $58, %eax\n" /* vfork */
        "  syscall\n"
        "  push %rdi\n"
        "  test %rax, %rax\n"
        "  jz 1f\n"
        "  mov %rsi, (%rdx)\n"
        "  js 2f\n"
        "1: ret\n"
        "2: neg %eax\n"
        "  push %rax\n"
        "  call __errno_location@PLT\n"
        "  pop %rcx\n"
        "  mov %ecx, (%rax)\n"
        "  mov $-1, %eax\n"
        "  ret\n");
