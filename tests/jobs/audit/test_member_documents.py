"""Tables of members, as spreadsheets in several countries save them, are read as the list in JSON is."""

from __future__ import annotations

import pytest

from face128.domain.descriptors import parse
from face128.domain.model_card import DLIB
from face128.errors import BadRequest
from face128.jobs.audit.member_documents import read_documents

NUMBERS = [(number - 64) / 1000 for number in range(128)]
AS_JSON = f'"{NUMBERS}"'
WITH_COMMAS = "; ".join(map(str, NUMBERS)).replace(".", ",")
TABLES = {
    "commas": f"regNo,name,descriptor\n1029,Zoë,{AS_JSON}\n0042,Ann,\n",
    "semicolons": f'regNo;name;descriptor\r\n1029;Zoë;"{WITH_COMMAS}"\r\n0042;Ann;\r\n',
    "a line for Excel": f'sep=;\r\nregNo;name;descriptor\r\n1029;Zoë;"{WITH_COMMAS}"\r\n0042;Ann;\r\n',
    "tabs": f'regNo\tname\tdescriptor\n1029\tZoë\t"{WITH_COMMAS}"\n0042\tAnn\t\n',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_in_any_form_has_the_same_members(table: str, encoding: str) -> None:
    members, model = read_documents(table.encode(encoding))
    assert model == DLIB.name
    assert [(member["regNo"], member["name"]) for member in members] == [(1029, "Zoë"), ("0042", "Ann")]
    assert parse(members[0]["descriptor"], 128).tolist() == NUMBERS
    assert members[1]["descriptor"] is None


def test_a_file_that_is_no_list_is_named() -> None:
    with pytest.raises(BadRequest, match=r"holiday\.csv is no list of members"):
        read_documents(b"\xff\xfe\x00\xd8\x00", "holiday.csv")
