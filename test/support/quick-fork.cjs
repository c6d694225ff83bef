// Only this process starts programs as scripts/test/vfork.c has it, and not what it starts: a shell's fork() must stay one.
delete process.env.LD_PRELOAD;
