"""What every part of a rig or pipeline file has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the file: no unknown keys, no guessed types, no NaN, no infinities."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )
