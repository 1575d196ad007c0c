"""See it: a page that shows a model's answers with and without each steering adapter, and what the gates decided."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from PIL import Image
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import check_processor, encode
from ..data.examples import read_examples
from ..data.pictures import open_image
from ..hub.model_loading import load_model
from ..tuner.explain import decisions_on
from ..tuner.steered_model import attached_adapters, steered_by
from ..tuner.wrapped import base_of
from .page import CSS, Answer, page_of, problem
from .turns import BusyError, Turns, User


try:
    import gradio as gr
except ImportError as error:
    raise ImportError("The app needs Gradio: `pip install 'hf_eraser[app]'`.") from error


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unusable:
    """Takes the place of an uploaded file that is not used, and says why."""

    reason: str


Upload = Path | Unusable | None

# A picture of more pixels is not decoded, a longer question not read, a larger file not taken, whoever sends it.
MOST_PIXELS, MOST_LETTERS, MOST_UPLOAD = 40_000_000, 2000, "20mb"

# Questions that wait or are answered at a time, from one address, and of one user. Whoever sends each question in
# another user's name leaves room for those at other addresses.
MOST_QUESTIONS, MOST_OF_ADDRESS, MOST_OF_ONE = 64, 48, 2

_UNREADABLE = "This picture cannot be read. Try a PNG or JPEG file."

# The slider's upper end, as a multiple of an adapter's own strength.
_MOST_STRENGTH = 2.0

_ABOUT = """
# {title}

A forget adapter makes the model hold back what it was asked to forget, and leaves everything else as it was. Its gate
reads your question once and decides. **The weights still know:** without the adapter, the answer is back.
"""


def launch(
    model_id: str | Path,
    adapters: Sequence[str | Path],
    *,
    title: str | None = None,
    pictures: Sequence[tuple[str | Path | Image.Image, str]] = (),
    questions: Sequence[str] = (),
    port: int | None = None,
) -> None:
    """
    Load a base model with steering adapters, and serve the page until interrupted.

    Args:
        model_id: The base model: a folder, or a repository on the Hub.
        adapters: Folders or repositories of adapters that were made for it. Each is called by the last part of that.
        title: The heading; the default names the base model.
        pictures, questions: What can be picked, as for `build_app`.
        port: The port; the default is the first free one from 7860 on. The address is this machine's own, unless
            `GRADIO_SERVER_NAME` says otherwise, as it does in a Space.

    Raises:
        OSError: If the model or an adapter cannot be found.
        ValueError: If there are no adapters, two have one name, or one does not fit the model.
    """
    model, processor = load(model_id, adapters)
    title = title or f"Forget adapters on {Path(model_id).name}"
    serve(build_app(model, processor, title=title, pictures=pictures, questions=questions), port=port)


def load(
    model_id: str | Path, adapters: Sequence[str | Path]
) -> tuple[PreTrainedModel, ProcessorMixin | PreTrainedTokenizerBase]:
    """A base model with adapters, and its processor; arguments and errors as for `launch`."""
    names = [Path(adapter).name.replace(".", "_") for adapter in adapters]  # a module's name has no dots
    if not names or len(set(names)) != len(names):
        raise ValueError(
            f"`adapters` must be at least one adapter, and no two folders or repositories of one name, got "
            f"{[str(adapter) for adapter in adapters]}."
        )
    model, processor = load_model(str(model_id))
    for name, adapter in zip(names, adapters):
        model.load_adapter(str(adapter), adapter_name=name)
    return model, processor


def serve(app: gr.Blocks, *, port: int | None = None, wait: bool = True) -> str:
    """
    Serve a page of `build_app`, with its style.

    Args:
        app: The page.
        port: As for `launch`.
        wait: Whether to go on until interrupted; otherwise it is served in the background until `app.close()`.

    Returns:
        Its address.
    """
    # The system's fonts, and grey text that is dark enough to read.
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
    )
    # Who waits for a turn waits in a thread.
    app.queue(max_size=2 * MOST_QUESTIONS)
    _, url, _ = app.launch(
        max_threads=2 * MOST_QUESTIONS,
        max_file_size=MOST_UPLOAD,
        theme=theme,
        css=CSS,
        server_port=port,
        prevent_thread_lock=not wait,
        share=False,
        pwa=False,
        ssr_mode=False,
        footer_links=[],
        run_history=False,  # would keep questions and pictures in the browser
    )
    return url


def build_app(
    model: PreTrainedModel | PeftModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    *,
    title: str = "Forget adapters",
    pictures: Sequence[tuple[str | Path | Image.Image, str]] = (),
    questions: Sequence[str] = (),
    max_new_tokens: int = 64,
) -> gr.Blocks:
    """
    The page, which `serve` serves.

    Args:
        model: A model with at least one steering adapter; which are active makes no difference and is not changed.
        processor: Its processor, or a tokenizer for a text-only model.
        title: The heading.
        pictures: Pictures to pick from, each with its caption.
        questions: Questions to pick from.
        max_new_tokens: How long an answer may become.

    Raises:
        TypeError: If `processor` is neither a processor nor a tokenizer.
        ValueError: If the model has no steering adapter, or the processor no chat template.
    """
    check_processor(processor)
    base = base_of(model)
    names = attached_adapters(base)
    if not names:
        raise ValueError("`model` has no steering adapter: load one first (`model.load_adapter(...)`).")
    takes_pictures = getattr(processor, "image_processor", None) is not None
    turns = Turns(waiting=MOST_QUESTIONS, of_address=MOST_OF_ADDRESS, each=MOST_OF_ONE)
    samples = [(open_image(picture), caption) for picture, caption in pictures]

    def ask(picture: Upload, question: str, on: list[str], strength: float, request: gr.Request) -> Iterator[str]:
        """Ask the model, and show each answer as soon as it is there."""
        if not question.strip():
            yield problem("Type a question first.")
            return
        # The page holds to this by itself; whoever calls its address without the page need not.
        if len(question) > MOST_LETTERS:
            yield problem(f"This question has {len(question)} letters. Ask in at most {MOST_LETTERS}.")
            return
        if isinstance(picture, Unusable):
            yield problem(picture.reason)
            return
        if picture is not None and not takes_pictures:
            yield problem("This model reads text only. Remove the picture and ask again.")
            return
        on = [name for name in names if name in on]
        off = [name for name in names if name not in on]
        to_ask = [(), *((name,) for name in on), *([tuple(on)] if len(on) > 1 else [])]
        answers = [Answer(adapters) for adapters in to_ask]
        user = User(request.client.host if request.client else None, request.session_hash)
        inputs: dict[str, Any] | None = None
        try:
            with turns.question(user):
                yield page_of(question, answers, off, strength=strength)
                for i, adapters in enumerate(to_ask):
                    with turns.answer(user):
                        # A large picture is decoded in its user's turn, one at a time.
                        inputs = inputs or _encoded(base, processor, picture, question)
                        answers[i] = _answer(model, processor, inputs, adapters, strength, max_new_tokens)
                    yield page_of(question, answers, off, strength=strength)
        except BusyError as error:
            yield problem(str(error))
        except _UnreadableError:
            yield problem(_UNREADABLE)
        except Exception:
            logger.exception("The model failed on a question.")
            yield problem("The model failed on this question. The log of the app says why.")

    def ask_again(
        picture: Upload, question: str, on: list[str], strength: float, request: gr.Request
    ) -> Iterator[Any]:
        """Like `ask` where something was asked, otherwise nothing."""
        if question.strip():
            yield from ask(picture, question, on, strength, request)
        else:
            yield gr.skip()

    with gr.Blocks(title=title, analytics_enabled=False) as app:
        gr.Markdown(_ABOUT.format(title=title), elem_id="head")
        with gr.Row():
            with gr.Column(scale=4, min_width=300, visible=takes_pictures):
                picture = gr.Image(
                    type="pil",
                    format="png",  # the default would show the model a picture of other pixels
                    label="Picture (optional)",
                    sources=["upload", "clipboard"],
                    buttons=[],
                    height=250,
                    placeholder="Drop a picture here, or click to choose one",
                    elem_id="picture",
                )
                picture.preprocess = _looked_at  # type: ignore[method-assign, assignment]
                if samples:
                    gallery = gr.Gallery(
                        samples,
                        label="Or pick one",
                        height="auto",
                        object_fit="cover",
                        allow_preview=False,
                        interactive=False,
                        buttons=[],
                        elem_id="gallery",
                    )

                    def pick(event: gr.SelectData) -> Image.Image:
                        return samples[event.index][0]

                    gallery.select(pick, outputs=picture, show_progress="hidden", api_visibility="private")
            with gr.Column(scale=5, min_width=300):
                question = gr.Textbox(
                    label="Question",
                    placeholder="Ask the model something",
                    max_length=MOST_LETTERS,
                    elem_id="question",
                )
                if questions:
                    gr.Examples([[text] for text in questions], question, label="Or pick one", cache_examples=False)
                switches = gr.CheckboxGroup(names, value=names, label="Adapters switched on", elem_id="switches")
                strength = gr.Slider(
                    0,
                    _MOST_STRENGTH,
                    1,
                    step=0.05,
                    label="Strength",
                    info="1 is each adapter's own, 0 is the base model.",
                    buttons=["reset"],
                    elem_id="strength",
                )
                button = gr.Button("Ask", variant="primary", elem_id="ask")
        page = gr.HTML(
            '<p class="muted">The answers appear here side by side: without any adapter, with each, and with all.</p>',
            elem_id="answers",
            container=False,
        )
        in_turn: dict[str, Any] = {
            "inputs": [picture, question, switches, strength],
            "outputs": page,
            "show_progress": "hidden",
            "trigger_mode": "always_last",  # by default, what is clicked while answers come in is dropped
            "concurrency_limit": None,  # `turns` says whose turn it is
        }
        gr.on([button.click, question.submit], ask, api_name="ask", **in_turn)
        gr.on([switches.input, strength.change], ask_again, api_visibility="private", **in_turn)
    return app


class _UnreadableError(ValueError):
    """A file that is taken for a picture's by how it begins, and is none."""


def _encoded(
    model: PreTrainedModel, processor: ProcessorMixin | PreTrainedTokenizerBase, picture: Path | None, question: str
) -> dict[str, Any]:
    try:
        shown = None if picture is None else open_image(picture)
    except ValueError as error:
        raise _UnreadableError from error
    return encode(processor, read_examples([{"image": shown, "prompt": question}], "question"), model.device)


@torch.no_grad()
def _answer(
    model: Any,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    inputs: dict[str, Any],
    adapters: tuple[str, ...],
    strength: float,
    max_new_tokens: int,
) -> Answer:
    """The model's greedy answer with these adapters, at a multiple of their own strengths."""
    with steered_by(model, adapters, strength=strength):
        output = model.generate(
            **inputs, do_sample=False, num_beams=1, max_new_tokens=max_new_tokens, return_dict_in_generate=True
        )
    tokenizer = getattr(processor, "tokenizer", processor)
    new = output.sequences[:, inputs["input_ids"].shape[1] :]
    text = tokenizer.batch_decode(new, skip_special_tokens=True)[0].strip()
    gates = decisions_on(model, output.past_key_values)[0] if adapters else {}
    return Answer(adapters, text, gates)


def _looked_at(payload: Any) -> Upload:
    """The file of an uploaded picture; Gradio would decode it whatever its size, and show no more than "Error"."""
    if payload is None or not payload.path:
        return None
    try:
        with Image.open(payload.path) as header:  # reads no pixel
            pixels = header.width * header.height
    except Image.DecompressionBombError:
        return Unusable(f"This picture is too large. Make it smaller than {MOST_PIXELS / 1e6:.0f} million pixels.")
    except (OSError, SyntaxError, ValueError):
        return Unusable(_UNREADABLE)
    if pixels > MOST_PIXELS:
        most = f"{MOST_PIXELS / 1e6:.0f} million"
        return Unusable(f"This picture has {pixels / 1e6:.0f} million pixels. Make it smaller than {most}.")
    return Path(payload.path)
