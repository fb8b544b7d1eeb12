"""Scripts that do harm as best they can, in both languages, and how each must be told of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bad:
    """One way to misbehave; `""` where a language has none."""

    python: str
    rhai: str
    limit: str = ""
    """The used-up limit that must be named."""
    error: str = "ScriptLimitError"
    words: str = ""
    """What the message must say."""

    def sources(self) -> list[tuple[str, str]]:
        """Names and texts."""
        both = [("bad.py", self.python), ("bad.rhai", self.rhai)]
        return [(name, source) for name, source in both if source]


BAD = {
    "an infinite loop": Bad("while True: pass", "loop {}", "operations"),
    "an infinite loop that catches": Bad(
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "loop {\n    try {\n        loop {}\n    } catch {}\n}",
        "operations",
    ),
    "verbs for ever": Bad(
        "while True: stage.position()", "loop { stage.position(); }", "wall_secs"
    ),
    "rows for ever": Bad("while True: emit(x=1.0)", "loop { emit(#{x: 1.0}); }", "wall_secs"),
    "10 GB at once": Bad(
        "x = bytearray(10 * 10**9)", "let x = blob(10000000000, 0);", "memory_bytes"
    ),
    "10 GB bit by bit": Bad(
        "x = []\nwhile True: x.append(bytes(1 << 20))",
        'let s = "#";\nloop {\n    s += s;\n}',
        "memory_bytes",
    ),
    "output without a newline": Bad(
        "while True: print('#' * 10**6, end='')",
        'let s = "#";\nfor i in 0..16 { s += s; }\nloop { print(s); }',
        "output_bytes",
    ),
    "1 GB of output at once": Bad("print('#' * 10**9, end='')", "", "memory_bytes"),
    "deep recursion": Bad("def f(): f()\nf()", "fn f() { f() }\nf();", "recursion"),
    "NaN as a position": Bad(
        "stage.move_abs(float('nan'))", "stage.move_abs(0.0 / 0.0);", "", "LimitError", "finite"
    ),
    "an infinity as a position": Bad(
        "stage.move_abs(float('inf'))", "stage.move_abs(1.0 / 0.0);", "", "LimitError", "finite"
    ),
    "NaN in a scan": Bad(
        "scan(stage, 0, float('nan'), 5)",
        "scan(stage, 0, 0.0 / 0.0, 5);",
        "",
        "LimitError",
        "finite",
    ),
    "10**400 as a position": Bad(
        "stage.move_abs(10**400)", "", error="ScriptFailedError", words="64 bits"
    ),
    "401 digits as a position": Bad("", f"stage.move_abs({10**400});", "", "LimitError", "finite"),
    "1e400 as a position": Bad(
        "stage.move_abs(1e400)", "stage.move_abs(1e308 * 10);", "", "LimitError", "finite"
    ),
    "terminal escapes in an error": Bad(
        "raise ValueError('\\x1b]0;title\\x07')",
        'throw "\\x1b]0;title\\x07";',
        error="ScriptFailedError",
        words="\\x1b]0;title\\x07",
    ),
    "another instrument": Bad(
        "getattr(stage, 'fire')()", "", error="ScriptFailedError", words="has no verb 'fire'"
    ),
}
REFUSED = {
    "2 MB of source": (b"# a long script\n" * 140_000, "1048576"),
    "invalid UTF-8": (b"\nlet x = '\xff\xfe'", "UTF-8; found the byte 0xff"),
    "a NUL byte": (b"\n\0", "NUL"),
}
REFUSED_IN = {
    "a file": ("open('/etc/passwd')", 'open("/etc/passwd");', "open"),
    "a module": ("import socket", 'import "socket" as s;', "cannot import"),
    "a thread": ("import threading", "", "cannot import 'threading'"),
}
