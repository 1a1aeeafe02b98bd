import base64
from decimal import Decimal

import pytest

from tests.simulator.schema import check

OCR = "/v1/ocr"
SEVEN = {"type": "document_url", "document_url": "https://documents.example/contract-7-pages.pdf"}
PDF = b"%PDF-1.7 << /Type /Pages >> << /Type /Page >> <</Type/Page>> %%EOF"
FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "total",
        "schema": {"type": "object", "properties": {"total": {"type": "integer"}}},
    },
}


def read(client, document=SEVEN, **more):
    return client.post(OCR, json={"model": "mistral-ocr-latest", "document": document, **more})


def test_pages_are_read_and_billed(simulator, alice):
    answer = read(alice)
    check(answer.json(), "OCRResponse")
    assert [page["index"] for page in answer.json()["pages"]] == list(range(7))
    assert answer.json()["usage_info"] == {"pages_processed": 7, "doc_size_bytes": 280_000}
    assert answer.headers["x-ratelimit-ocr-pages-query-cost"] == "7"
    total = simulator.state.ledger.total(model="mistral-ocr-4-1")
    assert (total.calls, total.pages, total.annotated_pages) == (1, 7, 0)
    assert (total.usd, total.eur) == (Decimal("0.028"), Decimal("0.0245"))


@pytest.mark.parametrize(
    ("pages", "read_pages"),
    [("0-2,5", [0, 1, 2, 5]), ([6, 0, 6], [0, 6]), ("5-99", [5, 6]), ("2", [2]), ([3, 70], [3])],
)
def test_only_the_pages_asked_for_count(simulator, alice, pages, read_pages):
    answer = read(alice, pages=pages).json()
    assert [page["index"] for page in answer["pages"]] == read_pages
    assert answer["usage_info"]["pages_processed"] == len(read_pages)
    assert simulator.state.ledger.total().pages == len(read_pages)


@pytest.mark.parametrize("pages", ["", "a", "1-b", "9", [9], [], "99999999999-999999999999"])
def test_a_choice_of_no_page_is_refused_and_free(simulator, alice, pages):
    assert read(alice, pages=pages).status_code == 400
    assert simulator.state.ledger.lines() == []


def test_annotated_pages_have_their_own_meter(simulator, alice):
    answer = read(alice, document_annotation_format=FORMAT, pages="0-2").json()
    check(answer, "OCRResponse")
    assert '"total":' in answer["document_annotation"]
    boxes = read(alice, bbox_annotation_format=FORMAT, pages="0").json()
    assert '"total":' in boxes["pages"][0]["images"][0]["image_annotation"]
    read(alice, document_annotation_format={"type": "text"}, pages="0")
    total = simulator.state.ledger.total()
    assert (total.pages, total.annotated_pages) == (1, 4)
    assert total.usd == Decimal("0.004") + 4 * Decimal("0.005")


def test_what_is_sent_is_measured(alice):
    packed = base64.b64encode(PDF).decode()
    sent = {"type": "document_url", "document_url": f"data:application/pdf;base64,{packed}"}
    usage = read(alice, sent).json()["usage_info"]
    assert usage == {"pages_processed": 2, "doc_size_bytes": len(PDF)}
    hint = {"type": "document_url", "document_url": "data:application/pdf;pages=9;base64,AAAA"}
    assert read(alice, hint).json()["usage_info"] == {"pages_processed": 9, "doc_size_bytes": 3}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert read(alice, picture).json()["usage_info"]["pages_processed"] == 1
    plain = {"type": "image_url", "image_url": "https://documents.example/a.png"}
    assert (
        read(alice, plain, include_image_base64=True).json()["usage_info"]["pages_processed"] == 1
    )


def test_an_uploaded_file_is_read_by_its_own_workspace(alice, as_key):
    files = {"file": ("letter.pdf", PDF, "application/pdf")}
    file_id = alice.post("/v1/files", data={"purpose": "ocr"}, files=files).json()["id"]
    document = {"type": "file", "file_id": file_id}
    assert read(alice, document).json()["usage_info"]["pages_processed"] == 2
    assert read(as_key("valid_other_workspace"), document).status_code == 404


def test_pages_can_be_dictated_and_every_part_asked_for(alice):
    answer = alice.post(
        OCR,
        json={
            "model": None,
            "document": SEVEN,
            "extract_header": True,
            "extract_footer": True,
            "confidence_scores_granularity": "page",
            "include_blocks": False,
        },
        headers={"x-sim-pages": "3"},
    ).json()
    check(answer, "OCRResponse")
    assert len(answer["pages"]) == 3
    assert "blocks" not in answer["pages"][0]
    assert answer["model"] == "mistral-ocr-latest"


def test_other_models_do_not_read(alice):
    answer = alice.post(OCR, json={"model": "mistral-small-latest", "document": SEVEN})
    assert answer.json()["code"] == "1500"
    assert read(alice, {"type": "letter"}).status_code == 422
