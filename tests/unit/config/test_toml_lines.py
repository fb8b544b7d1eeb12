import tomllib

from hypothesis import given
from hypothesis import strategies as st

from ringdaq.config.lines import key_lines, line_of

TEXT = '''\
top = 1 # comment = 2
"quoted key" = "a = b # no comment"
[a.b]
text = """
c = 1
"""
d.e = [
  1,
  { x = 1, y = [2, 3] }, # x
]
[[t]]
[[t.u]]
k = 'lit # eral'
[[t]]
[[t.u]]
k = 1979-05-27T07:32:00Z
[t.sub]
z = """a""""
'''


def test_every_key_has_its_line():
    tomllib.loads(TEXT)
    lines = key_lines(TEXT)
    assert lines[("top",)] == 1
    assert lines[("quoted key",)] == 2
    assert lines[("a", "b")] == 3
    assert lines[("a", "b", "text")] == 4
    assert ("a", "b", "c") not in lines
    assert lines[("a", "b", "d", "e")] == 7
    assert lines[("a", "b", "d", "e", 1, "y", 1)] == 9
    assert lines[("t", 0, "u", 0, "k")] == 13
    assert lines[("t", 1, "u", 0, "k")] == 16
    assert lines[("t", 1, "sub", "z")] == 18


def test_what_is_missing_has_its_holder_s_line():
    lines = key_lines(TEXT)
    assert line_of(("t", 1, "u", 0, "none"), lines) == 15
    assert line_of(("none",), lines) == 1


values = st.recursive(
    st.integers() | st.booleans() | st.text("ab\"'#=[]{},.\n\\ ", max_size=6),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


def literal(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[ " + ", ".join(map(literal, value)) + " ]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return str(value)


@given(st.lists(values, max_size=8))
def test_lines_hold_for_any_values(found):
    text = "".join(f"k{n} = {literal(v)}\n" for n, v in enumerate(found))
    tomllib.loads(text)
    lines = key_lines(text)
    assert all(lines[(f"k{n}",)] == n + 1 for n in range(len(found)))
