"""Pages of an interrupted walk: nothing is asked for twice, nothing is lost, a torn line is cut off."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import SourceError, SourceUnavailable
from pipelines.ingest.spool import Spool


class Book:
    """A source of five pages that fails once, at the page it is told."""

    def __init__(self, fails_at=None, error=SourceUnavailable):
        self.fails_at, self.error, self.asked = fails_at, error, []

    def __call__(self, cursor):
        if cursor == self.fails_at:
            self.fails_at = None
            raise self.error("down")
        self.asked.append(cursor)
        return [f"page {cursor}", "\ud800\u0000 NaN"], cursor + 1 if cursor < 4 else None


WHOLE = [[f"page {number}", "\ud800\u0000 NaN"] for number in range(5)]


def walk(directory, book, asked="all"):
    spool = Spool("somebody", directory)
    with spool.session():
        return spool.walk(asked, book, 0)


@pytest.mark.parametrize("fails_at", range(5))
def test_it_goes_on_where_it_was(tmp_path, fails_at):
    book = Book(fails_at)
    with pytest.raises(SourceUnavailable):
        walk(tmp_path, book)
    assert walk(tmp_path, book) == WHOLE
    assert book.asked == [0, 1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == []
    assert walk(tmp_path, book) == WHOLE
    assert len(book.asked) == 10  # a finished walk is forgotten


def test_another_question_is_another_walk(tmp_path):
    book = Book(3)
    with pytest.raises(SourceUnavailable):
        walk(tmp_path, book)
    assert walk(tmp_path, Book(), "other") == WHOLE
    assert len(list(tmp_path.iterdir())) == 1


def test_a_refusal_for_good_begins_anew(tmp_path):
    book = Book(3, SourceError)
    with pytest.raises(SourceError):
        walk(tmp_path, book)
    assert list(tmp_path.iterdir()) == []


def test_in_memory_it_begins_anew():
    book = Book(3)
    with pytest.raises(SourceUnavailable):
        walk(None, book)
    assert walk(None, book) == WHOLE
    assert book.asked == [0, 1, 2, 0, 1, 2, 3, 4]


@given(cut=st.integers(min_value=0, max_value=200))
def test_whatever_was_on_disk_when_the_power_went_the_pages_are_the_same(tmp_path_factory, cut):
    directory = tmp_path_factory.mktemp("spool")
    with pytest.raises(SourceUnavailable):
        walk(directory, Book(4))
    file = next(directory.iterdir())
    file.write_bytes(file.read_bytes()[:cut])
    assert walk(directory, Book()) == WHOLE


@pytest.mark.parametrize("following", [lambda cursor: 0, lambda cursor: 1 - cursor])
def test_pages_in_a_circle_are_an_error(tmp_path, following):
    with pytest.raises(SourceError, match="somebody: its pages do not come to an end"):
        walk(tmp_path, lambda cursor: (["same"], following(cursor)))


def test_files_hold_json_lines_only(tmp_path):
    with pytest.raises(SourceUnavailable):
        walk(tmp_path, Book(2))
    lines = next(tmp_path.iterdir()).read_bytes().splitlines()
    assert [json.loads(line)[1] for line in lines] == [1, 2]
