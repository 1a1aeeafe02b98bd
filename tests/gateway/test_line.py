"""Who goes next: played through in virtual time, with messages of several calls each."""

import heapq
from dataclasses import dataclass, field
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from tenants.gateway.line import Line, Need, State, Ticket
from tenants.gateway.windows import MonthCount, Window

PATIENCE = 30.0


@dataclass
class Play:
    """A simulation: messages come, each makes its calls one after the other, or all at once."""

    limit: int
    seconds: float
    patience: float = PATIENCE
    longest: int = 256
    passed: list[tuple[float, str]] = field(default_factory=list)
    refused: list[tuple[float, str, float]] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    asked: dict[Ticket, float] = field(default_factory=dict)

    def __post_init__(self):
        self.line = Line(longest=self.longest)
        self.window = Window(self.limit, self.seconds)
        self._events = []
        self._order = count()
        self._rest = {}
        self._takes = {}
        self._first = {}

    def message(self, at, name, calls=1, takes=0.5, *, parallel=False, grouped=True):
        self._rest[name], self._takes[name] = calls, takes
        for _ in range(calls if parallel else 1):
            self._at(at, "ask", name, grouped)

    def run(self):
        wake = None
        while self._events or self.line.waiting:
            soon = self.line.wake_in(self.now) if self.line.waiting else None
            wake = None if soon is None else self.now + max(soon, 1e-3)
            if self._events and (wake is None or self._events[0][0] <= wake):
                now, _, what, *facts = heapq.heappop(self._events)
                self.now = max(self.now, now)
                getattr(self, f"_{what}")(*facts)
            else:
                assert wake is not None
                self.now = wake
                self._decide(self.line.advance(self.now))
        return self

    now = 1000.0

    def _at(self, at, *event):
        heapq.heappush(self._events, (at, next(self._order), *event))

    def _ask(self, name, grouped):
        ticket = Ticket(
            name if grouped else "", [Need(self.window, 1)], self.now + self.patience, [name]
        )
        self.asked[ticket] = self.now
        waiting = list(self.line.waiting)
        self.line.ask(ticket, self.now)
        decided = [one for one in [*waiting, ticket] if one.state is not State.WAITING]
        self._decide(decided)
        assert len(self.line.waiting) <= self.longest

    def _finish(self, ticket, name, grouped):
        self.line.finish(ticket, self.now)
        self._decide(self.line.advance(self.now))
        if self._rest[name] > 0 and not any(t.rules[0] == name for t in self.line.waiting):
            self._at(self.now, "ask", name, grouped)

    def _decide(self, tickets):
        for ticket in tickets:
            (name,) = ticket.rules
            assert self.now <= ticket.deadline + 1
            if ticket.state is State.REFUSED:
                self.refused.append((self.now, name, ticket.retry_in))
                self._rest[name] = 0
                continue
            assert ticket.state is State.ADMITTED
            if name not in self.begun:
                # Nobody begins while one that has begun, and lacks only what it takes, waits.
                ahead = [
                    other
                    for other in self.line.waiting
                    if other.rules[0] in self.begun
                    and self.asked[other] < self.now
                    and self._is_begun(other)
                ]
                assert not ahead, (name, ahead)
                self.begun.append(name)
            self.passed.append((self.now, name))
            self._rest[name] -= 1
            self._at(self.now + self._takes[name], "finish", ticket, name, bool(ticket.message))

    def _is_begun(self, ticket):
        return self.line._begun(ticket, self.now) is not None


def names(pairs):
    return [name for _, name, *_ in pairs]


@settings(max_examples=30)
@given(
    limit=st.integers(1, 12),
    seconds=st.sampled_from([1.0, 5.0, 60.0]),
    messages=st.lists(
        st.tuples(st.floats(0, 90), st.integers(1, 12), st.floats(0.05, 4), st.booleans()),
        min_size=1,
        max_size=25,
    ),
)
def test_whatever_comes_no_stretch_is_overfull_and_everybody_is_told_in_time(
    limit, seconds, messages
):
    play = Play(limit, seconds)
    for number, (at, calls, takes, parallel) in enumerate(messages):
        play.message(1000 + at, f"m{number}", calls, takes, parallel=parallel)
    play.run()
    for at, _ in play.passed:
        assert sum(at <= when < at + seconds for when, _ in play.passed) <= limit
    assert not play.line.waiting
    assert all(ticket.state is not State.WAITING for ticket in play.asked)
    assert all(retry >= 0 for _, _, retry in play.refused)
    assert set(names(play.passed)) | set(names(play.refused)) == {
        f"m{number}" for number in range(len(messages))
    }


@given(st.lists(st.floats(0, 3), min_size=2, max_size=30))
def test_calls_of_no_message_go_in_the_order_they_came(pauses):
    play, at = Play(2, 1.0), 1000.0
    for number, pause in enumerate(pauses):
        at += pause
        play.message(at, f"c{number:02}", grouped=False)
    play.run()
    assert names(play.passed) == sorted(names(play.passed))
    assert not play.refused


def test_a_message_that_has_begun_is_finished_before_a_younger_one_begins():
    play = Play(1, 1.0)
    play.message(1000.0, "old", 4, takes=0.2)
    play.message(1000.1, "young", 4, takes=0.2)
    play.run()
    assert names(play.passed) == ["old"] * 4 + ["young"] * 4


def test_a_message_that_would_not_get_through_is_refused_at_its_first_call():
    play = Play(10, 60.0)
    for number in range(6):
        play.message(1000 + number / 10, f"m{number}", 3, takes=1.0)
    play.run()
    # Three messages of three calls fit into ten calls a minute; nobody fails half-way.
    assert {name: names(play.passed).count(name) for name in play.begun} == dict.fromkeys(
        ("m0", "m1", "m2"), 3
    )
    assert names(play.refused) == ["m3", "m4", "m5"]
    for at, _, retry in play.refused:
        assert at < 1001
        assert 25 < retry < 40  # a window less what it could have waited


def test_who_comes_back_when_told_gets_through():
    play = Play(10, 60.0)
    for number in range(4):
        play.message(1000 + number / 10, f"m{number}", 3, takes=1.0)
    play.run()
    ((at, _, retry),) = play.refused
    again = Play(10, 60.0)
    for number in range(3):
        again.message(1000 + number / 10, f"m{number}", 3, takes=1.0)
    again.message(at + retry + 1, "m3", 3, takes=1.0)
    assert not again.run().refused


def test_a_lone_message_is_begun_though_its_calls_may_take_longer_than_it_waits():
    play = Play(2, 60.0)
    play.message(1000.0, "alone", 2, takes=1.0)
    play.run()
    assert names(play.passed) == ["alone", "alone"]


def test_the_line_learns_how_many_calls_a_message_makes():
    play = Play(100, 1.0)
    for number in range(40):
        play.message(1000.0 + 10 * number, f"m{number}", 8, takes=0.1)
    play.run()
    assert 7 < play.line.calls_of_message <= 8


def test_calls_of_a_message_are_observed_only_once_one_is_over():
    play = Play(100, 1.0)
    play.message(1000.0, "first", 10, takes=0.1)
    play.run()
    assert play.line.observed == 0
    play.message(1100.0, "second", 5, takes=0.1)
    play.run()
    assert play.line.observed == 10
    play.message(1200.0, "third", 2, takes=0.1)
    play.run()
    assert play.line.observed == 9


def test_a_message_without_end_does_not_starve_others():
    play = Play(1, 1.0, patience=60)
    play.message(1000.0, "endless", 40, takes=0.05)
    play.message(1000.5, "other", 2, takes=0.05)
    play.run()
    assert "other" in names(play.passed)[:14]


def test_a_full_line_refuses_and_those_who_leave_make_room():
    line, window = Line(longest=3), Window(1, 60.0)
    tickets = [Ticket("", [Need(window, 1)], 1090.0) for _ in range(5)]
    patient = [Ticket("", [Need(window, 0)], 1090.0)]
    line.ask(tickets[0], 1000.0)
    assert tickets[0].state is State.ADMITTED
    line.ask(tickets[1], 1000.0)
    assert (tickets[1].state, len(line.waiting)) == (State.WAITING, 1)
    line.leave(tickets[1], 1001.0)
    assert (tickets[1].state, line.waiting) == (State.LEFT, [])
    line.ask(tickets[2], 1001.0)
    assert line.advance(1063.0) == [tickets[2]]
    assert tickets[2].state is State.ADMITTED
    assert patient


def test_a_call_that_lacks_one_counter_does_not_stop_those_that_need_another():
    line, tight, wide = Line(), Window(1, 60.0), Window(100, 60.0)
    line.ask(Ticket("", [Need(tight, 1)], 1100.0), 1000.0)
    stuck = Ticket("", [Need(tight, 1), Need(wide, 1)], 1100.0)
    line.ask(stuck, 1000.0)
    other = Ticket("", [Need(wide, 1)], 1100.0)
    line.ask(other, 1000.0)
    assert (stuck.state, other.state) == (State.WAITING, State.ADMITTED)


def test_what_is_left_of_a_month_is_not_set_aside_for_others():
    line, month, wide = Line(), MonthCount(100, ends=10_000.0), Window(1000, 1.0)
    for number in range(4):
        ticket = Ticket(f"m{number}", [Need(month, 20), Need(wide, 1)], 1030.0)
        line.ask(ticket, 1000.0)
        assert ticket.state is State.ADMITTED


def test_who_is_put_back_waits_at_its_place_or_is_refused_if_it_would_wait_too_long():
    line, window = Line(), Window(10, 60.0)
    ticket, late = (Ticket("m", [Need(window, 1)], 1010.0) for _ in range(2))
    for one in (ticket, late):
        line.ask(one, 1000.0)
        assert one.state is State.ADMITTED
    window.hear(10, 1000.0, 5.0)
    assert line.put_back(ticket, window, 5.0, 1000.0)
    assert not line.put_back(late, window, 50.0, 1000.0)
    assert (late.state, late.retry_in) == (State.REFUSED, 50)
    assert line.advance(1006.0) == [ticket]
    assert ticket.state is State.ADMITTED
    assert window.used(1006.0) == 1


def test_who_needs_much_is_not_overtaken_for_ever_by_those_who_need_little():
    line, tokens = Line(), Window(100, 60.0)
    line.ask(Ticket("", [Need(tokens, 60)], 1100.0), 1000.0)
    much = Ticket("", [Need(tokens, 80)], 1100.0)
    line.ask(much, 1001.0)
    little = Ticket("", [Need(tokens, 10)], 1100.0)
    line.ask(little, 1002.0)
    assert (much.state, little.state) == (State.WAITING, State.WAITING)
    line.advance(1064.0)
    assert (much.state, little.state) == (State.ADMITTED, State.ADMITTED)
