"""The official SDKs on everything that is not chat, FIM or embeddings."""

import time
import wave
from io import BytesIO

import openai
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import SDKError

from aisuru_mistral.simulator.agents import WELL_KNOWN_AGENTS
from aisuru_mistral.simulator.keys import WELL_KNOWN

SMALL = "mistral-small-latest"
MESSAGES = [{"role": "user", "content": "Hello there"}]
TUNED = "ft:mistral-small-2603:aurora-claims:20260310:7e773925"
SEARCH = [{"type": "web_search"}]
# mistralai imports its parts late, and one of them a library that looks at old names of `ast`.
pytestmark = pytest.mark.filterwarnings("ignore:ast.*:DeprecationWarning")


@pytest.fixture
def mistral(simulator):
    with Mistral(api_key=WELL_KNOWN["valid"], server_url=simulator.url, timeout_ms=5000) as client:
        yield client


@pytest.fixture
def gpt(simulator):
    with openai.OpenAI(
        api_key=WELL_KNOWN["valid"], base_url=f"{simulator.url}/v1", max_retries=0, timeout=5
    ) as client:
        yield client


def until(said, wanted):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = said()
        if wanted(found):
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def test_agents_answer_and_stream(mistral):
    agent = WELL_KNOWN_AGENTS["claims"]
    whole = mistral.agents.complete(agent_id=agent, messages=MESSAGES)
    with mistral.agents.stream(agent_id=agent, messages=MESSAGES) as events:
        chunks = [event.data for event in events]
    text = "".join(chunk.choices[0].delta.content for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens


def test_chats_are_moderated_and_classified(mistral):
    model = "mistral-moderation-2603"
    chat = [{"role": "user", "content": "the law"}]
    assert mistral.classifiers.moderate_chat(model=model, inputs=chat).results[0].categories["law"]
    assert mistral.classifiers.classify(model=model, inputs=["x"]).results[0]["tone"].scores
    one = mistral.classifiers.classify_chat(model=model, input={"messages": chat})
    assert set(one.results[0]) == {"length", "tone"}


def test_documents_are_read(mistral):
    read = mistral.ocr.process(
        model="mistral-ocr-latest",
        document={"type": "document_url", "document_url": "https://a.example/4-pages.pdf"},
        pages=[0, 1],
    )
    assert read.usage_info.pages_processed == len(read.pages) == 2
    assert read.pages[0].markdown.startswith("# Page 1")


def test_recordings_are_transcribed_whole_and_streamed(mistral):
    sound = BytesIO()
    with wave.open(sound, "wb") as written:
        written.setparams((1, 1, 8000, 0, "NONE", ""))
        written.writeframes(bytes(8000 * 7))
    asked = {
        "model": "voxtral-mini-latest",
        "file": {"file_name": "talk.wav", "content": sound.getvalue()},
        "timestamp_granularities": ["segment"],
    }
    whole = mistral.audio.transcriptions.complete(**asked)
    assert whole.usage.prompt_audio_seconds == 7
    assert len(whole.segments) == 2
    with mistral.audio.transcriptions.stream(**asked) as events:
        last = list(events)[-1].data
    assert (last.text, last.usage) == (whole.text, whole.usage)


def test_texts_are_spoken_whole_and_streamed(mistral):
    asked = {"model": "voxtral-mini-tts-latest", "input": "Ciao", "response_format": "wav"}
    whole = mistral.audio.speech.complete(**asked)
    assert whole.audio_data
    with mistral.audio.speech.complete(**asked, stream=True) as events:
        parts = [event.data for event in events]
    assert parts[-1].usage.prompt_tokens == 1


def test_conversations_go_on(mistral):
    conversations = mistral.beta.conversations
    first = conversations.start(model=SMALL, inputs="web_search it", tools=SEARCH)
    assert first.usage.connectors == {"web_search": 1}
    same = {"conversation_id": first.conversation_id}
    second = conversations.append(**same, inputs="And now?")
    assert second.usage.prompt_tokens > first.usage.prompt_tokens
    with conversations.append_stream(**same, inputs="And then?") as events:
        kinds = [event.event for event in events]
    assert (kinds[0], kinds[-1]) == ("conversation.response.started", "conversation.response.done")
    entries = conversations.get_history(**same).entries
    assert len(entries) == 7
    again = conversations.restart(**same, inputs="Or?", from_entry_id=entries[0].id)
    assert {each.id for each in conversations.list()} == {
        first.conversation_id,
        again.conversation_id,
    }
    assert len(conversations.get_messages(**same).messages) == 6
    assert conversations.get(**same).model == SMALL
    conversations.delete(**same)
    with pytest.raises(SDKError) as gone:
        conversations.get(**same)
    assert gone.value.status_code == 404


def test_files_and_batches_are_made_and_read(mistral):
    line = b'{"custom_id": "a", "body": {"messages": [{"role": "user", "content": "Hello"}]}}\n'
    file = mistral.files.upload(file={"file_name": "a.jsonl", "content": line}, purpose="batch")
    assert mistral.files.retrieve(file_id=file.id).size_bytes == len(line)
    assert mistral.files.download(file_id=file.id).read() == line
    assert mistral.files.get_signed_url(file_id=file.id).url.startswith("http://127.0.0.1")
    job = mistral.batch.jobs.create(
        input_files=[file.id], model=SMALL, endpoint="/v1/chat/completions", metadata={"a": "b"}
    )
    done = until(
        lambda: mistral.batch.jobs.get(job_id=job.id), lambda found: found.status == "SUCCESS"
    )
    assert b'"custom_id":"a"' in mistral.files.download(file_id=done.output_file).read()
    assert mistral.batch.jobs.list().total == 1
    assert mistral.batch.jobs.cancel(job_id=job.id).status == "SUCCESS"
    assert mistral.files.list(purpose="batch").total == 2
    assert mistral.files.delete(file_id=file.id).deleted


def test_fine_tuned_models_are_kept_in_order(mistral):
    assert mistral.models.update(model_id=TUNED, name="Claims").name == "Claims"
    assert mistral.models.archive(model_id=TUNED).archived
    assert not mistral.models.unarchive(model_id=TUNED).archived
    assert mistral.models.delete(model_id=TUNED).deleted


def test_mistralai_responds(mistral):
    responses = getattr(mistral, "responses", None) or mistral.beta.responses
    whole = responses.create(model=SMALL, input="Hello there")
    with responses.create(model=SMALL, input="Hello there", stream=True) as events:
        frames = [event.data for event in events]
    assert frames[-1].response.usage == whole.usage
    assert whole.usage.input_tokens == 10
    counted = responses.count_input_tokens(model=SMALL, input="Hello there")
    assert counted.input_tokens == 10


def test_openai_responds_and_keeps_files(gpt):
    whole = gpt.responses.create(model=SMALL, input="Hello there")
    with gpt.responses.stream(model=SMALL, input="Hello there") as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.output_text == whole.output_text
    assert final.usage.total_tokens == whole.usage.total_tokens
    tool = {"type": "function", "name": "look", "parameters": {"type": "object"}}
    called = gpt.responses.create(
        model=SMALL, input="Hello", tools=[tool], tool_choice="required"
    ).output[0]
    assert (called.type, called.name) == ("function_call", "look")
    file = gpt.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
    assert gpt.files.content(file.id).read() == b"{}\n"
    assert gpt.files.delete(file.id).deleted


def test_openai_transcribes(gpt):
    heard = gpt.audio.transcriptions.create(
        model="voxtral-mini-latest", file=("talk-5-seconds.mp3", b"x")
    )
    assert heard.text
