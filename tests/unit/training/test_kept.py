from __future__ import annotations

from pipelines.training.kept import Kept


def test_a_result_is_made_once_and_the_one_used_longest_ago_goes_first() -> None:
    made: list[str] = []

    def ask(name: str, size: int = 4) -> str:
        return str(kept.get(name, lambda: made.append(name) or name.upper(), size))

    kept = Kept(limit=10)
    assert [ask("a"), ask("b"), ask("a")] == ["A", "B", "A"]
    assert made == ["a", "b"]
    ask("c")  # 12 bytes: b goes, a was used after it
    assert len(kept) == 2
    ask("a")
    ask("b")
    assert made == ["a", "b", "c", "b"]


def test_what_is_larger_than_the_limit_is_not_kept_and_drives_nothing_out() -> None:
    kept = Kept(limit=10)
    kept.get("small", lambda: 1, 4)
    assert [kept.get("huge", lambda: 2, 11) for _ in range(2)] == [2, 2]
    assert len(kept) == 1
    assert kept.get("small", lambda: 3, 4) == 1
