"""The app where anybody may call it: what is too much is refused with a message, and nobody keeps others waiting."""

from __future__ import annotations

import struct
import threading
import time
import zlib
from collections import Counter

import numpy as np
import pytest
from gradio_client import Client, handle_file
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hf_eraser.app import build_app, serve, server
from hf_eraser.app.turns import BusyError, Turns, User
from hf_eraser.data import encode, read_examples
from hf_eraser.data.pictures import open_image
from tests.conftest import built
from tests.helpers.adapters import attach


@pytest.fixture(scope="module")
def url():
    model, processor = built("llava")
    attach(model, "random")
    app = build_app(model, processor, max_new_tokens=2)
    yield serve(app, wait=False)
    app.close()


def client_of(url):
    return Client(url, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 120})


def test_picture_of_too_many_pixels_is_refused_without_being_decoded(url, tmp_path, monkeypatch):
    side = int(server.MOST_PIXELS**0.5) + 1
    Image.fromarray(np.zeros((side, side), dtype=np.uint8)).save(tmp_path / "large.png")  # some kilobytes
    loaded = []
    monkeypatch.setattr(Image.Image, "load", lambda self: loaded.append(self.size))
    shown = client_of(url).predict(handle_file(tmp_path / "large.png"), "Who?", ["random"], 1, api_name="/ask")
    assert "This picture has 40 million pixels. Make it smaller than 40 million." in shown
    assert (side, side) not in loaded


def test_picture_that_would_take_the_memory_of_the_machine_is_refused(url, tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(png)
    shown = client_of(url).predict(handle_file(tmp_path / "bomb.png"), "Who?", ["random"], 1, api_name="/ask")
    assert "too large" in shown or "million pixels" in shown


def test_large_pictures_are_decoded_one_at_a_time(url, tmp_path, monkeypatch):
    Image.fromarray(np.zeros((600, 600), dtype=np.uint8)).save(tmp_path / "large.png")
    at_a_time, most, opened = 0, 0, []

    def open_slowly(picture):
        nonlocal at_a_time, most
        at_a_time += 1
        most = max(most, at_a_time)
        opened.append(picture)
        time.sleep(0.05)
        at_a_time -= 1
        return open_image(picture)

    monkeypatch.setattr(server, "open_image", open_slowly)
    clients = [client_of(url) for _ in range(4)]
    asked = [c.submit(handle_file(tmp_path / "large.png"), "Who?", ["random"], 1, api_name="/ask") for c in clients]
    assert all("Without any adapter" in job.result() for job in asked)
    assert len(opened) == 4
    assert most == 1


def test_picture_that_breaks_off_is_told_of_and_the_next_one_has_its_turn(url, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    client = client_of(url)
    shown = client.predict(handle_file(tmp_path / "broken.png"), "Who?", ["random"], 1, api_name="/ask")
    assert "This picture cannot be read." in shown
    shown = client.predict(handle_file(tmp_path / "whole.png"), "Who?", ["random"], 1, api_name="/ask")
    assert "Without any adapter" in shown


def test_long_question_is_refused_by_the_server_too(url):
    shown = client_of(url).predict(None, "a" * 200_000, ["random"], 1, api_name="/ask")
    assert "This question has 200000 letters. Ask in at most 2000." in shown


def test_large_file_is_not_taken(url, tmp_path):
    (tmp_path / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(21_000_000))
    with pytest.raises(Exception, match=r"(?i)size|large|413"):
        client_of(url).predict(handle_file(tmp_path / "large.png"), "Who?", ["random"], 1, api_name="/ask")


def test_user_who_asks_much_at_once_is_told_to_wait_and_others_are_answered(url):
    hostile, others = [client_of(url) for _ in range(2)], [client_of(url) for _ in range(6)]
    flood = [
        client.submit(None, f"Question {i}?", ["random"], 1, api_name="/ask") for client in hostile for i in range(12)
    ]
    asked = [client.submit(None, "Who is Ada?", ["random"], 1, api_name="/ask") for client in others]
    shown = [job.result() for job in asked]
    assert all("Without any adapter" in page and "Waiting" not in page for page in shown)
    said = [job.result() for job in flood]
    refused = [page for page in said if "Your last questions are still being answered." in page]
    answered = [page for page in said if "Without any adapter" in page]
    assert refused
    assert len(refused) + len(answered) == len(flood)


def order_of(users):
    """The users in the order of their answers, when all of these questions wait at once."""
    turns = Turns(waiting=99, of_address=99, each=99)
    order, threads = [], []

    def ask(user):
        with turns.question(user), turns.answer(user):
            order.append(user)

    with turns.question(User("first", "first")), turns.answer(User("first", "first")):
        for user in users:
            threads.append(threading.Thread(target=ask, args=(user,)))
            threads[-1].start()
        while len(turns._tickets) < len(users):
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert sorted(order, key=str) == sorted(users, key=str)
    return order


def longest_waits(order, of):
    """For each key of those that wait, how many answers of others came in a row before one of theirs."""
    left, since, longest = Counter(map(of, order)), Counter(), Counter()
    for served in map(of, order):
        left[served] -= 1
        since[served] = 0
        for key in left:
            if key != served and left[key]:
                since[key] += 1
                longest[key] = max(longest[key], since[key])
    return longest


def users(addresses, sessions):
    return st.builds(User, st.sampled_from(addresses), st.sampled_from(sessions))


@settings(max_examples=30)
@given(st.lists(users(["proxy"], "abcd"), min_size=1, max_size=12))
def test_between_two_answers_of_one_user_each_other_one_who_waits_has_had_one(asked):
    """Whoever waits: it is never the turn of one who was served while another one was waiting already."""
    longest = longest_waits(order_of(asked), lambda user: user)
    assert all(wait <= len(set(asked)) for wait in longest.values())


@settings(max_examples=30)
@given(st.lists(users("123", "abcd"), min_size=1, max_size=12))
def test_questions_in_many_names_from_one_address_take_one_turn_among_the_addresses(asked):
    addresses = {user.address for user in asked}
    longest = longest_waits(order_of(asked), lambda user: user.address)
    assert all(wait <= len(addresses) for wait in longest.values())


def test_too_many_questions_of_one_from_one_address_or_of_all_are_refused():
    turns = Turns(waiting=4, of_address=3, each=2)
    a, b, c, elsewhere = User("1", "a"), User("1", "b"), User("1", "c"), User("2", "a")
    with turns.question(a), turns.question(a):
        with pytest.raises(BusyError, match="Your last questions"), turns.question(a):
            pass
        with turns.question(b):
            with pytest.raises(BusyError, match="Too many people"), turns.question(c):
                pass
            with turns.question(elsewhere):
                with pytest.raises(BusyError, match="Too many people"), turns.question(User("3", "a")):
                    pass
        with turns.question(c):
            pass
    with turns.question(a):
        pass
    assert not turns._since


def test_who_asks_again_in_a_new_name_is_behind_all_that_wait_already():
    turns, order = Turns(waiting=99, of_address=99, each=9), []
    patient, holder = User("proxy", "patient"), User("elsewhere", "holder")

    def ask(user):
        with turns.question(user), turns.answer(user):
            order.append(user)

    with turns.question(holder), turns.question(patient):
        with turns.answer(patient):  # had one, and wants another
            pass
        with turns.answer(holder):
            threads = [threading.Thread(target=ask, args=(User("proxy", f"name {i}"),)) for i in range(4)]
            for thread in threads:
                thread.start()
            while len(turns._tickets) < len(threads):
                time.sleep(0.001)
            threads.append(threading.Thread(target=ask, args=(patient,)))
            threads[-1].start()
            while len(turns._tickets) < len(threads):
                time.sleep(0.001)
        for thread in threads:
            thread.join()
    assert order[0] == patient


def test_settings_of_one_who_asks_are_not_another_one_s(llava):
    """Each answer is computed with the adapters and strength of its question, in its own context."""
    model, processor = llava
    attach(model, "open", low=-1e6, high=-1e5, strength=8.0)
    inputs = encode(processor, read_examples([{"prompt": "Who is Ada?"}], "asked"), model.device)

    def answer(strength):
        return server._answer(model, processor, inputs, ("open",), strength, 6).text

    alone = {strength: answer(strength) for strength in (0.0, 1.0)}
    assert alone[0.0] != alone[1.0]
    found = {strength: set() for strength in alone}

    def ask(strength):
        for _ in range(6):
            found[strength].add(answer(strength))

    threads = [threading.Thread(target=ask, args=(strength,)) for strength in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {strength: {text} for strength, text in alone.items()}
