"""Text that must show as itself in Markdown."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.reports.escaping import escape_markdown, fence

from .fakes import HOSTILE


def test_markup_loses_its_meaning() -> None:
    escaped = escape_markdown(HOSTILE)
    assert escaped == (
        'x&lt;script&gt;alert("1")&lt;/script&gt; \\| \\`rm\\` \\$^\\$ red \\# line '
        "abc http&#58;//evil.example"
    )


def test_underscores_inside_words_stay_readable() -> None:
    assert escape_markdown("learning_rate _x_") == r"learning_rate \_x\_"


def test_bare_addresses_and_mentions_do_not_become_links() -> None:
    assert escape_markdown("WWW.a.b @someone") == "WWW&#46;a.b &#64;someone"


@settings(deadline=None, derandomize=True)
@given(st.text())
def test_a_cell_never_ends_its_table_row(text: str) -> None:
    escaped = str(escape_markdown(text))
    assert "\n" not in escaped
    assert "<" not in escaped
    unescaped_bars = [
        index
        for index, character in enumerate(escaped)
        if character == "|" and (len(escaped[:index]) - len(escaped[:index].rstrip("\\"))) % 2 == 0
    ]
    assert unescaped_bars == []


def test_a_fence_is_longer_than_the_code_s_own() -> None:
    assert fence("a ```` b\n", "yaml") == "`````yaml\na ```` b\n`````"
