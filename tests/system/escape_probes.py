"""Ways out of the locked room, each the text of a script that must not come to its end.

A probe that reaches its last line has got through. `P` are the targets of `escape_stand.py`.
"""

from typing import NamedTuple

REFUSED = "PermissionError: "
KILLED = "made a system call that is forbidden to scripts and was killed (SIGSYS)"
NO_MODULE = "ModuleNotFoundError: "


class Probe(NamedTuple):
    """One attempt."""

    source: str
    ends: str = REFUSED
    """What the run's error must say."""
    open_without: bool = False
    """Whether it gets through where there are no walls: else the probe would prove nothing."""
    landlock: int = 0
    """The version from which landlock alone stops it; 0 is never."""
    machine: str = ""
    """The only processor that has it."""


def _open(source, landlock=0, ends=REFUSED):
    return Probe(source, ends, True, landlock)


FILES = {
    "read a file": _open("open('/etc/passwd').read()", 1),
    "read by a raw call": _open("syscall('openat', -100, b'/etc/passwd', 0)", 1),
    "read by openat2": Probe(
        "syscall('openat2', -100, b'/etc/passwd', (ctypes.c_uint64 * 3)(), 24)", landlock=1
    ),
    "read by the C library": _open(
        "LIBC.fopen.restype = ctypes.c_void_p\n"
        "f = LIBC.fopen(b'/etc/passwd', b'r')\nif not f: check(-1)",
        1,
    ),
    "read the daemon's memory": Probe("open(f'/proc/{P[\"pid\"]}/mem', 'rb')", landlock=1),
    "write the daemon's memory": Probe(
        "open(f'/proc/{P[\"pid\"]}/mem', 'r+b', buffering=0)", landlock=1
    ),
    "write its own memory": _open("open('/proc/self/mem', 'r+b', buffering=0)", 1),
    "read the daemon's environment": Probe("open(f'/proc/{P[\"pid\"]}/environ').read()"),
    "list the daemon's descriptors": Probe("os.listdir(f'/proc/{P[\"pid\"]}/fd')", landlock=1),
    "list shared memory": _open("os.listdir('/dev/shm')", 1),
    "list the working directory": _open("os.listdir('.')", 1),
    "list the root": _open("os.scandir('/')", 1),
    "read a ring": _open("open(P['ring'], 'rb').read(8)", 1),
    "write a ring": _open("open(P['ring'], 'r+b', buffering=0)", 1),
    "map a ring": _open("mmap.mmap(os.open(P['ring'], os.O_RDWR), 0)", 1),
    "truncate a ring": Probe("os.truncate(P['ring'], 0)", landlock=3),
    "delete a ring": Probe("os.unlink(P['ring'])", landlock=1),
    "rename a ring": Probe("os.rename(P['ring'], P['ring'] + '.x')", landlock=1),
    "link a ring": Probe("os.link(P['ring'], P['ring'] + '.x')", landlock=1),
    "change a ring's mode": _open("os.chmod(P['ring'], 0o600)"),
    "change a ring's times": _open("os.utime(P['ring'])"),
    "look at a ring": _open("os.stat(P['ring'])"),
    "look whether a file is there": _open(
        "if not os.access('/etc/passwd', os.F_OK): raise PermissionError('access')"
    ),
    "write a new file": _open("open(P['directory'] + '/new', 'w')", 1),
    "append to a file": _open("open(P['directory'] + '/file', 'a')", 1),
    "delete a file": Probe("os.unlink(P['directory'] + '/file')", landlock=1),
    "make a directory": _open("os.mkdir(P['directory'] + '/made')", 1),
    "remove a directory": Probe("os.rmdir(P['directory'] + '/empty')", landlock=1),
    "make a symbolic link": _open("os.symlink('/etc', P['directory'] + '/link')", 1),
    "make a pipe in a directory": _open("os.mkfifo(P['directory'] + '/fifo')", 1),
    "make a device": Probe(
        "os.mknod(P['directory'] + '/device', 0o600 | stat.S_IFCHR, os.makedev(1, 1))", landlock=1
    ),
    "make a nameless file": Probe(
        "os.open(P['directory'], os.O_TMPFILE | os.O_RDWR, 0o600)", landlock=1
    ),
    "open a terminal": Probe("open('/dev/ptmx', 'r+b', buffering=0)", landlock=1),
    "set an attribute": Probe("os.setxattr(P['directory'] + '/file', 'user.x', b'1')"),
    "change the directory": _open("os.chdir('/')"),
    "change the root": Probe("os.chroot('/')"),
    "read a link": _open("os.readlink('/proc/self/exe')"),
    "ask where it is": Probe("os.getcwd()"),
    "ask about a file system": _open("os.statvfs('/')"),
    "name a handle": Probe(
        "syscall('name_to_handle_at', -100, b'/etc/passwd', (ctypes.c_uint32 * 34)(128), "
        "(ctypes.c_int * 1)(), 0)"
    ),
    "open by handle": Probe(
        "syscall('open_by_handle_at', 0, (ctypes.c_uint32 * 34)(8, 1), 0)", KILLED
    ),
    "watch files": _open("check(LIBC.inotify_init1(0))"),
    "watch a file system": Probe("syscall('fanotify_init', 0, 0)"),
    "empty what it has as input": Probe("syscall('ftruncate', 0, 0)"),
    "import what is not loaded": _open("import sqlite3", 1, NO_MODULE),
    "import the rings": _open("import ringdaq_core", 1, NO_MODULE),
    "import from anywhere": Probe(
        "sys.path.insert(0, P['directory'])\nimport planted", NO_MODULE, True, 1
    ),
    "load a library": Probe("ctypes.CDLL('libresolv.so.2')", "OSError: ", False, 1),
}

SOCKETS = {
    "connect by TCP": _open("socket.create_connection(('127.0.0.1', P['tcp']))", 4),
    "listen by TCP": _open("socket.create_server(('127.0.0.1', 0))"),
    "connect by MPTCP": Probe(
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(('127.0.0.1', P['tcp']))"
    ),
    "connect by SCTP": Probe("socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)"),
    "send by UDP": _open(
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', P['udp']))"
    ),
    "connect by path": _open("socket.socket(socket.AF_UNIX).connect(P['unix'])", 9),
    "connect by abstract name": _open("socket.socket(socket.AF_UNIX).connect(P['abstract'])", 6),
    "send a datagram by path": _open(
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', P['datagrams'])", 9
    ),
    "make a raw socket": Probe("socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
    "make a packet socket": Probe("socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)"),
    "talk to the kernel by netlink": _open("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)"),
    "talk to the host of the machine": Probe("socket.socket(socket.AF_VSOCK)"),
    "talk to the kernel's ciphers": Probe("socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)"),
    "make a pair of sockets": _open("socket.socketpair()"),
    "hand its descriptors to the daemon": Probe(
        "s = socket.socket(fileno=DAEMON)\nsocket.send_fds(s, [b'x'], [0, DAEMON])"
    ),
    "ask the daemon for descriptors": Probe(
        "s = socket.socket(fileno=DAEMON)\nsocket.recv_fds(s, 1, 1, socket.MSG_DONTWAIT)"
    ),
    "send many messages at once": Probe("syscall('sendmmsg', DAEMON, None, 0, 0)"),
    "send elsewhere by its own socket": Probe(
        "socket.socket(fileno=DAEMON).sendto(b'x', P['abstract'])"
    ),
    "connect its own socket": Probe("socket.socket(fileno=DAEMON).connect(P['unix'])"),
    "listen on its own socket": Probe("socket.socket(fileno=DAEMON).listen()"),
    "set options of its own socket": Probe(
        "socket.socket(fileno=DAEMON).setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)"
    ),
    "ask who the daemon is": _open(
        "s = socket.socket(fileno=DAEMON)\n"
        "s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)\ns.detach()"
    ),
}

PROCESSES = {
    "signal the daemon": Probe("os.kill(P['pid'], 0)", landlock=6),
    "signal everybody": Probe("syscall('kill', -1, 0)"),
    "signal the daemon's thread": Probe("syscall('tgkill', P['pid'], P['pid'], 0)", landlock=6),
    "signal with a value": Probe(
        "syscall('rt_sigqueueinfo', P['pid'], 0, (ctypes.c_uint64 * 16)())"
    ),
    "hold the daemon": Probe("os.pidfd_open(P['pid'])"),
    "signal by descriptor": Probe("syscall('pidfd_send_signal', 0, 0, None, 0)"),
    "take the daemon's descriptors": Probe("syscall('pidfd_getfd', 0, 0, 0)", KILLED),
    "trace the daemon": Probe("syscall('ptrace', 16, P['pid'], 0, 0)", KILLED),
    "be traced": Probe("syscall('ptrace', 0, 0, 0, 0)", KILLED),
    "read the daemon by its number": Probe(
        "b = ctypes.create_string_buffer(8)\n"
        "syscall('process_vm_readv', P['pid'], vector(ctypes.addressof(b), 8), 1, "
        "vector(P['address'], 8), 1, 0)",
        KILLED,
    ),
    "write the daemon by its number": Probe(
        "b = ctypes.create_string_buffer(8)\n"
        "syscall('process_vm_writev', P['pid'], vector(ctypes.addressof(b), 8), 1, "
        "vector(P['address'], 8), 1, 0)",
        KILLED,
    ),
    "advise the daemon's memory": Probe("syscall('process_madvise', 0, None, 0, 0, 0)", KILLED),
    "compare with the daemon": Probe("syscall('kcmp', P['pid'], P['pid'], 0, 0, 0)"),
    "slow the daemon down": Probe("os.setpriority(os.PRIO_PROCESS, P['pid'], 19)"),
    "move the daemon to a processor": Probe("os.sched_setaffinity(P['pid'], [0])"),
    "ask about the daemon's limits": Probe(
        "syscall('prlimit64', P['pid'], resource.RLIMIT_AS, None, (ctypes.c_uint64 * 2)())"
    ),
    "limit the daemon": Probe(
        "syscall('prlimit64', P['pid'], resource.RLIMIT_NOFILE, (ctypes.c_uint64 * 2)(), None)"
    ),
    "fork": _open("if os.fork() == 0: os._exit(0)"),
    "fork by the C library": _open("if check(LIBC.fork()) == 0: os._exit(0)"),
    "fork by clone": _open("if syscall('clone', 17, 0, 0, 0, 0) == 0: os._exit(0)"),
    "fork by clone3": Probe(
        "a = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)\nif syscall('clone3', a, 88) == 0: os._exit(0)",
        "OSError: [Errno 38]",
        True,
    ),
    "fork and share": Probe("syscall('vfork')"),
    "fork bomb": Probe("while True:\n    if os.fork() == 0: continue"),
    "start a thread": Probe(
        "threading.Thread(target=int).start()", "RuntimeError: can't start new thread", True
    ),
    "become another program": Probe("os.execv('/bin/true', ['true'])", landlock=1),
    "become another program by descriptor": Probe(
        "syscall('execveat', -100, b'/bin/true', None, None, 0)", landlock=1
    ),
    "start a program": _open("os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)"),
    "start a shell": _open("if os.system('true') != 0: raise PermissionError('system')"),
    "start a subprocess": Probe("subprocess.run(['/bin/true'], close_fds=False)", REFUSED, True),
    "wait for others": Probe("os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)"),
}

KERNEL = {
    "io_uring": Probe("syscall('io_uring_setup', 8, (ctypes.c_uint32 * 30)())", KILLED),
    "enter an io_uring": Probe("syscall('io_uring_enter', 0, 0, 0, 0, None, 0)", KILLED),
    "a user namespace": Probe("syscall('unshare', 0x10000000)", KILLED),
    "a network namespace": Probe("syscall('unshare', 0x40000000)", KILLED),
    "enter a namespace": Probe("syscall('setns', 0, 0)", KILLED),
    "mount": Probe("syscall('mount', b'none', b'/tmp', b'tmpfs', 0, None)", KILLED),
    "unmount": Probe("syscall('umount2', b'/none', 0)", KILLED),
    "turn the root": Probe("syscall('pivot_root', b'/none', b'/none')", KILLED),
    "open a mount": Probe("syscall('open_tree', -100, b'/none', 1)", KILLED),
    "make a file system": Probe("syscall('fsopen', b'tmpfs', 0)", KILLED),
    "move a mount": Probe("syscall('move_mount', 0, b'', 0, b'', 0)", KILLED),
    "bpf": Probe("syscall('bpf', 0, (ctypes.c_uint64 * 9)(), 72)", KILLED),
    "measure others": Probe(
        "syscall('perf_event_open', (ctypes.c_uint64 * 16)(), P['pid'], -1, -1, 0)", KILLED
    ),
    "read keys": Probe("syscall('keyctl', 0, -3, 0, 0, 0)", KILLED),
    "add a key": Probe("syscall('add_key', b'user', b'x', b'x', 1, -3)", KILLED),
    "ask for a key": Probe("syscall('request_key', b'user', b'x', None, 0)", KILLED),
    "handle page faults": Probe("syscall('userfaultfd', 1)", KILLED),
    "load a module": Probe("syscall('init_module', None, 0, b'')", KILLED),
    "load a module from a file": Probe("syscall('finit_module', 0, b'', 0)", KILLED),
    "unload a module": Probe("syscall('delete_module', b'none', 0)", KILLED),
    "load a kernel": Probe("syscall('kexec_load', 0, 0, None, 0)", KILLED),
    "reboot": Probe("syscall('reboot', 0, 0, 0, None)", KILLED),
    "swap": Probe("syscall('swapon', b'/none', 0)", KILLED),
    "set the time": Probe("syscall('settimeofday', None, (ctypes.c_int * 2)())"),
    "set a clock": Probe("time.clock_settime(time.CLOCK_REALTIME, time.time())"),
    "adjust the clock": Probe("syscall('adjtimex', (ctypes.c_uint64 * 26)())"),
    "name the machine": Probe("syscall('sethostname', b'', 0)"),
    "read the kernel's log": Probe("syscall('syslog', 10, None, 0)"),
    "account": Probe("syscall('acct', None)"),
    "reach ports": Probe("syscall('iopl', 3)", machine="x86_64"),
    "make a segment": Probe(
        "syscall('modify_ldt', 0, ctypes.create_string_buffer(64), 64)", machine="x86_64"
    ),
    "call by another convention": Probe(
        "LIBC.syscall(ctypes.c_long(0x40000000 | 39))", KILLED, machine="x86_64"
    ),
    "change its personality": _open("syscall('personality', 0xFFFFFFFF)"),
    "a number beyond all calls": Probe("if LIBC.syscall(4000) == -1: check(-1)"),
}

MEMORY = {
    "shared memory of the old kind": _open("syscall('shmget', 0, 4096, 0o1600)"),
    "a queue of the old kind": _open("syscall('msgget', 0, 0o1600)"),
    "a semaphore of the old kind": _open("syscall('semget', 0, 1, 0o1600)"),
    "a message queue": Probe("syscall('mq_open', b'x', 0o102, 0o600, None)"),
    "a file in memory": _open("os.memfd_create('x')"),
    "a file in memory that grows": Probe(
        "f = os.memfd_create('x')\nos.ftruncate(f, 1 << 32)", open_without=True
    ),
    "secret memory": Probe("syscall('memfd_secret', 0)"),
    "new machine code": _open(
        "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)"
    ),
    "machine code where data was": _open(
        "m = mmap.mmap(-1, 4096)\na = ctypes.addressof(ctypes.c_char.from_buffer(m))\n"
        "check(LIBC.mprotect(ctypes.c_void_p(a), 4096, 7))"
    ),
    "memory that stays": Probe("check(LIBC.mlockall(1))"),
    "10 GB at once": Probe("x = bytes(10 << 30)", "memory_bytes"),
    "10 GB of pages": Probe("mmap.mmap(-1, 10 << 30)", "OSError: [Errno 12]"),
    "10 GB of shared pages": Probe(
        "maps = []\nfor _ in range(40): maps.append(mmap.mmap(-1, 1 << 28))", "OSError: [Errno 12]"
    ),
    "10 GB bit by bit": Probe("x = []\nwhile True: x.append(bytes(1 << 24))", "memory_bytes"),
    "lift the limit of memory": Probe(
        "syscall('prlimit64', 0, resource.RLIMIT_AS, (ctypes.c_uint64 * 2)(1 << 40, 1 << 40), None)"
    ),
    "lift the limit of descriptors": Probe(
        "syscall('prlimit64', 0, resource.RLIMIT_NOFILE, (ctypes.c_uint64 * 2)(4096, 4096), None)"
    ),
    "lift the limit of file sizes": Probe(
        "syscall('prlimit64', 0, resource.RLIMIT_FSIZE, (ctypes.c_uint64 * 2)(1, 1), None)"
    ),
    "lift a limit by the old call": Probe(
        "syscall('setrlimit', resource.RLIMIT_CPU, (ctypes.c_uint64 * 2)(1, 1))"
    ),
}

DESCRIPTORS = {
    "copy a descriptor": _open("os.dup(0)"),
    "copy a descriptor onto another": _open("os.dup2(0, 1)"),
    "copy a descriptor by fcntl": _open("fcntl.fcntl(0, fcntl.F_DUPFD, 10)"),
    "use up all descriptors": Probe("while True: os.dup(0)"),
    "a pipe": _open("os.pipe()"),
    "an event": _open("check(LIBC.eventfd(0, 0))"),
    "a timer as a file": _open("check(LIBC.timerfd_create(1, 0))"),
    "a set of descriptors": _open("check(LIBC.epoll_create1(0))"),
    "a signal as a file": _open("check(LIBC.signalfd(-1, (ctypes.c_uint64 * 16)(), 0))"),
    "control a device": Probe("fcntl.ioctl(0, 0x5412, b'x')"),
    "a timer": _open("signal.setitimer(signal.ITIMER_REAL, 100)", ends="itimer_error: [Errno 1]"),
}

UNDOING = {
    "let itself be dumped": _open("check(LIBC.prctl(4, 1, 0, 0, 0))"),
    "take new privileges": Probe("check(LIBC.prctl(38, 0, 0, 0, 0))"),
    "outlive the daemon": _open("check(LIBC.prctl(1, 0, 0, 0, 0))"),
    "filter anew": Probe("syscall('seccomp', 1, 0, None)"),
    "switch to another filter": Probe("check(LIBC.prctl(22, 1, 0, 0, 0))"),
    "landlock anew": Probe("syscall('landlock_create_ruleset', None, 0, 1)"),
    "become root": Probe("os.setuid(0)"),
    "become root for good": Probe("syscall('setresuid', 0, 0, 0)"),
    "become root's group": Probe("os.setgid(0)"),
    "join groups": Probe("os.setgroups([0])"),
    "take capabilities": Probe(
        "syscall('capset', (ctypes.c_uint32 * 2)(0x20080522, 0), "
        "(ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6))"
    ),
    "open files as another": Probe("syscall('setfsuid', 0)"),
}

PROBES = {
    f"{group}: {name}": probe
    for group, probes in {
        "files": FILES,
        "sockets": SOCKETS,
        "processes": PROCESSES,
        "kernel": KERNEL,
        "memory": MEMORY,
        "descriptors": DESCRIPTORS,
        "undoing": UNDOING,
    }.items()
    for name, probe in probes.items()
}
