"""Every name of a source is a scan or left out with a reason; a study is one scan wherever its files lie."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk import listing
from bulk.book import Book
from bulk.errors import BulkError
from bulk.listing import Wanted
from bulk.names import address_of, text_of
from bulk.source import list_source
from bulk.task import Part, digest_of
from prove.drawn.volumes import SENTINEL, dicom_series, nifti, phantom
from tests.bulk.conftest import picture

WANTED = Wanted(None, "*_mask.*")


@pytest.fixture
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    return Book(tmp_path_factory.mktemp("book"))


def listed(book: Book, source: Path | str, wanted: Wanted = WANTED) -> list[tuple[str, ...]]:
    """The scans' files, by name."""
    list_source(book, str(source), wanted)
    waiting, found = book.waiting(), list(book.tasks())
    assert waiting == len(found)
    return [tuple(part.address.rpartition("/")[2] for part in task.parts) for task in found]


def test_names_that_others_pass_over_are_taken_or_named(book: Book, tmp_path: Path) -> None:
    for name in ("_a.png", ".b.png", "c.nii.gz", "d.PNG"):
        (tmp_path / name).write_bytes(picture(1))
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "e.png").write_bytes(picture(2))
    (tmp_path / "unnamed").write_bytes(picture(3))
    (tmp_path / "linked.png").symlink_to("d.PNG")
    for name in ("._a.png", "DICOMDIR", "a_mask.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"words")
    (tmp_path / "nothing.png").symlink_to("gone.png")
    (tmp_path / "folder").symlink_to(".hidden")
    os.mkfifo(tmp_path / "pipe.png")
    names = listed(book, tmp_path)
    taken = ["_a.png", ".b.png", "c.nii.gz", "d.PNG", "e.png", "unnamed", "linked.png"]
    assert sorted(names) == sorted((name,) for name in taken)
    assert {Path(one.address).name: one.reason for one in book.left_out()} == {
        "._a.png": "metadata of macOS",
        "DICOMDIR": "the index of a disc",
        "a_mask.png": "its name is of --skip",
        "notes.txt": listing.STRANGE,
        "nothing.png": "a link to nothing",
        "folder": listing.NOT_FOLLOWED,
        "pipe.png": "no plain file",
    }


def test_a_name_that_is_no_text_is_read_all_the_same(book: Book, tmp_path: Path) -> None:
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\\x41.png")
    Path(strange).write_bytes(picture(1))
    list_source(book, str(tmp_path), WANTED)
    (task,) = book.tasks()
    assert Path(task.parts[0].address).read_bytes() == picture(1)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_names_go_there_and_back(name: str) -> None:
    if any("\ud800" <= one <= "\udfff" and not "\udc80" <= one <= "\udcff" for one in name):
        return  # no name of a file
    assert address_of(text_of(name)) == name
    text_of(name).encode()


def test_the_files_of_a_study_are_one_scan(book: Book, tmp_path: Path) -> None:
    """Two series in folders of their own, and another study's files between them; nothing keeps the UID."""
    first = [*dicom_series(phantom(), "flair", study="1"), *dicom_series(phantom(), "t1", study="1")]
    for name, data in first:
        target = tmp_path / "disc" / name.split("/")[1] / name.rpartition("/")[2]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    for name, data in dicom_series(phantom(), "flair", study="2"):
        (tmp_path / "disc" / "flair" / f"2-{name.rpartition('/')[2]}").write_bytes(data)
    (tmp_path / "single.nii").write_bytes(nifti(phantom()))
    assert sorted(map(len, listed(book, tmp_path))) == [1, 8, 16]


def test_results_are_no_source(book: Book, tmp_path: Path) -> None:
    (tmp_path / "out" / "masks").mkdir(parents=True)
    (tmp_path / "out" / "masks" / "mask.png").write_bytes(picture(1))
    (tmp_path / "a.png").write_bytes(picture(1))
    assert listed(book, tmp_path, Wanted((tmp_path / "out").resolve(), "")) == [("a.png",)]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_manifest(kind: str, book: Book, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    (tmp_path / "b_mask.png").write_bytes(picture(2))
    paths = ["a.png", str(tmp_path / "b_mask.png"), "gone.png", "a.png"]
    manifest = tmp_path / f"list.{kind}"
    if kind == "csv":
        manifest.write_text("who,path\n" + "".join(f"x,{path}\n" for path in paths))
    else:
        pq.write_table(pa.table({"path": paths}), manifest)
    assert listed(book, manifest) == [("a.png",), ("b_mask.png",), ("gone.png",)]
    assert [one.reason for one in book.left_out()] == ["listed twice"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("list.csv", b"file\na.png\n", "no column path"),
        ("list.parquet", b"words", "cannot be read as Parquet"),
        ("list.csv", b"path,b\n,1\n", "row 1 has an empty path"),
    ],
)
def test_a_manifest_that_is_none(name: str, content: bytes, said: str, book: Book, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BulkError, match=said):
        list_source(book, str(tmp_path / name), WANTED)


@pytest.mark.parametrize(("source", "said"), [("nowhere", "is no folder"), ("nosuch://a/b", "no address that fsspec")])
def test_a_source_that_is_none(source: str, said: str, book: Book) -> None:
    with pytest.raises(BulkError, match=said):
        list_source(book, source, WANTED)


def test_an_address(book: Book) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("/listing/x/_a.png", "/listing/x/y/b.png", "/listing/x/notes"):
        memory.pipe_file(name, picture(1))
    memory.pipe_file("/listing/x/notes", b"words")
    try:
        assert listed(book, "memory://listing") == [("_a.png",), ("b.png",)]
        assert [one.reason for one in book.left_out()] == [listing.STRANGE]
    finally:
        memory.rm("/listing", recursive=True)


def test_the_digest_of_several_files_does_not_depend_on_their_names() -> None:
    assert digest_of(("b", "a")) == digest_of(("a", "b")) != digest_of(("a",)) == "a"


def test_a_file_that_changed_is_not_known_any_more(book: Book) -> None:
    book.remember("/a.png", "1-1", "digest", "")
    book.was_done("digest")
    book.listed(Part("/a.png", 1, "1-2"))
    book.grouped()
    assert book.waiting() == 1


def test_no_identifier_is_kept(book: Book, tmp_path: Path) -> None:
    for name, data in dicom_series(phantom(), "flair"):
        (tmp_path / name.rpartition("/")[2]).write_bytes(data)
    list_source(book, str(tmp_path), WANTED)
    (task,) = book.tasks()
    book.read(task.parts, ["0" * 64] * len(task.parts))
    kept = str(book.fresh())
    assert SENTINEL not in kept
    assert "1.2.826" not in kept


def test_a_name_that_points_at_itself_is_left_out(book: Book, tmp_path: Path) -> None:
    (tmp_path / "round.png").symlink_to("round.png")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "a.png").write_bytes(picture(1))
    assert listed(book, tmp_path) == [("a.png",)]
    assert {Path(one.address).name for one in book.left_out()} == {"round.png", "up"}


def test_a_folder_that_cannot_be_listed_is_named_and_the_source_itself_ends_the_run(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shut").mkdir()
    (tmp_path / "a.png").write_bytes(picture(1))
    shut, whole = [str(tmp_path / "shut")], os.scandir

    def scandir(place: str | Path) -> object:  # the tests may run as root, who is let in anywhere
        if os.fspath(place) in shut:
            raise PermissionError(13, "Permission denied", os.fspath(place))
        return whole(place)

    monkeypatch.setattr(os, "scandir", scandir)
    assert listed(book, tmp_path) == [("a.png",)]
    assert [one.reason for one in book.left_out()] == ["cannot be listed: Permission denied"]
    shut.append(str(tmp_path))
    with pytest.raises(PermissionError):
        list_source(book, str(tmp_path), WANTED)


def test_results_in_the_source_itself_are_refused(book: Book, tmp_path: Path) -> None:
    with pytest.raises(BulkError, match="give another --out"):
        list_source(book, str(tmp_path), Wanted(tmp_path.resolve(), ""))
    memory = fsspec.filesystem("memory")
    for name in ("/inside/a.png", "/inside/out/masks/mask.png", "/inside/outer.png"):
        memory.pipe_file(name, picture(1))
    try:
        assert listed(book, "memory://inside", Wanted(None, "", "memory://inside/out")) == [("a.png",), ("outer.png",)]
        with pytest.raises(BulkError, match="give another --out"):
            list_source(book, "memory://inside", Wanted(None, "", "memory://inside"))
    finally:
        memory.rm("/inside", recursive=True)


def test_a_manifest_by_a_hostile_hand(book: Book, tmp_path: Path) -> None:
    """A row too long for a file system is a row; what cannot be a name at all ends the run with a word."""
    (tmp_path / "a.png").write_bytes(picture(1))
    manifest = tmp_path / "list.csv"
    manifest.write_text(f"path\n{'x' * 5000}.png\na.png\n./a.png\nsub/../a.png\n")
    assert len(listed(book, manifest)) == 2
    assert [one.reason for one in book.left_out()] == ["listed twice"] * 2
    for content, said in (
        (f"path\n{'x' * 200_000}\n".encode(), "field limit"),
        (b"path\nb\0.png\n", r"zero byte|NUL"),
        (b"path\ns3://who:secret@bucket/a.png\n", "put it where"),
    ):
        manifest.write_bytes(content)
        with pytest.raises(BulkError, match=said) as found:
            list_source(book, str(manifest), WANTED)
        assert "secret@" not in str(found.value)
    pq.write_table(pa.table({"path": ["b\0.png"]}), tmp_path / "list.parquet")
    with pytest.raises(BulkError, match="zero byte"):
        list_source(book, str(tmp_path / "list.parquet"), WANTED)
