"""What a job may report of itself."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_COUNT = 2**31 - 1  # the columns' greatest number
MAX_ERRORS = 50
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Code = Annotated[str, Field(pattern="^[a-z0-9_]{1,64}$")]


class ReportedJob(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    state: Literal["running", "done", "failed", "interrupted"]
    stage: Literal["encoding", "enrolling"]
    total: Count
    done: Count
    failed: Count = 0
    errors: Annotated[dict[Code, Count], Field(max_length=MAX_ERRORS)] = {}

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Self:
        if self.done + self.failed > self.total:
            raise ValueError("done and failed are no more than total")
        return self
