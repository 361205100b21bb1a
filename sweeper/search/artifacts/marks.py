"""What a study's losses are held against: taken where it is trained, told where it is reported."""

from __future__ import annotations

from pydantic import ValidationError

from sweeper.diagnosis.floors import FLOORS_FILE, Floors, read_floors
from sweeper.files import write_durably
from sweeper.search import attributes as attrs
from sweeper.search.store import StudyStore


def tell_floors(store: StudyStore) -> None:
    """Tell the study's storage what this machine found, unless another has."""
    floors = read_floors(store.spec.output_folder)
    if floors is not None and attrs.FLOORS not in store.study.user_attrs:
        store.study.set_user_attr(attrs.FLOORS, floors.model_dump(mode="json"))


def fetch_floors(store: StudyStore) -> None:
    """Have here what another machine found, where this one has found nothing."""
    path, told = store.spec.output_folder / FLOORS_FILE, store.study.user_attrs.get(attrs.FLOORS)
    if path.exists() or told is None:
        return
    try:
        floors = Floors.model_validate(told)
    except ValidationError:
        return  # of another version
    write_durably(path, floors.model_dump_json(indent=2).encode())
