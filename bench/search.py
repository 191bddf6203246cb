"""How long a search takes in a big tenant: ``python -m bench.search --help``.

A store on disk is filled through its ordinary commits, with names and places like those of a
town's groups, and then asked as the server asks it, one query after the other.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import attrs
import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.figures import percentile
from groupd.domain.base import GROUP, Record, StreamKey
from groupd.domain.projection import Found, Near, PutCard, PutMember
from groupd.garbage import pauses_bounded
from groupd.storage.port import Append, AppendAll, Store
from groupd.storage.sqlite import SqliteStore

TENANT: Final = "town"
LIMIT: Final = 51
"""A page, and one more that says whether there is another."""
ROUND: Final = 2_000
"""Groups that are founded in one transaction."""
TARGET_MS: Final = 5.0
SEED: Final = 20_240_601

CATEGORIES: Final = (
    *("运动", "户外", "读书", "音乐", "美食", "亲子", "游戏", "摄影", "旅行", "学习"),
    *("宠物", "电影", "手工", "创业", "求职", "二手", "车友", "健身", "舞蹈", "公益"),
)
_PLACES: Final = (
    *("西湖", "杭州", "滨江", "余杭", "萧山", "拱墅", "上城", "下沙", "良渚", "钱塘", "临平"),
    *("富阳", "上海", "浦东", "徐汇", "北京", "朝阳", "海淀", "广州", "天河", "深圳", "南山"),
    *("成都", "武侯", "南京", "玄武", "苏州", "宁波", "绍兴", "湖州", "嘉兴", "温州"),
)
_WHO: Final = (
    *("周末", "早起", "夜跑", "新手", "资深", "宝妈", "学生", "同城", "单身", "老年", "程序员"),
    *("设计师", "九零后", "零零后", "女生", "上班族", "邻居", "校友", "考研", "自由"),
)
_WHAT: Final = (
    *("徒步", "跑步", "羽毛球", "篮球", "足球", "骑行", "登山", "露营", "钓鱼", "读书", "写作"),
    *("吉他", "合唱", "摄影", "桌游", "剧本杀", "美食", "咖啡", "烘焙", "茶道", "书法", "瑜伽"),
    *("舞蹈", "英语", "日语", "编程", "观影", "养猫", "遛狗", "二手交换", "拼车", "团购", "相亲"),
)
_KIND: Final = ("群", "交流群", "俱乐部", "小组", "联盟", "社", "分享会", "互助群", "大本营", "")
_ADJECTIVES: Final = (
    *("Early", "Weekend", "Friendly", "Night", "City", "West Lake", "Downtown", "Happy", "Wild"),
    *("Casual", "Serious", "Young", "Riverside", "Mountain", "Sunny", "Urban", "Green", "Old Town"),
)
_ACTIVITIES: Final = (
    *("Running", "Hiking", "Badminton", "Basketball", "Cycling", "Camping", "Reading", "Writing"),
    *("Guitar", "Photography", "Board Games", "Cooking", "Coffee", "Baking", "Yoga", "Dancing"),
    *("Chess", "Climbing", "Swimming", "Python", "Startup", "Language Exchange", "Movie", "Café"),
)
_CIRCLES: Final = ("Club", "Group", "Circle", "Crew", "Friends", "Society", "Meetup", "Team")

CENTRE: Final = (30.25, 120.16)
"""Of the town where most groups are, thick in the middle."""
_TOWN_DEGREES: Final = 0.08
_DESERT: Final = (40.0, 105.0)


@attrs.frozen
class Kind:
    """A kind of question, and how to make one."""

    title: str
    make: Callable[[random.Random], dict[str, Any]]


def name_of(chance: random.Random) -> str:
    """Make up a group's name."""
    if chance.random() < 0.7:
        parts = (_PLACES, _WHO, _WHAT, _KIND) if chance.random() < 0.7 else (_WHO, _WHAT, _KIND)
        name = "".join(chance.choice(words) for words in parts)
        return f"{name}{chance.randrange(1, 500)}" if chance.random() < 0.3 else name
    words = [chance.choice(words) for words in (_ADJECTIVES, _ACTIVITIES, _CIRCLES)]
    return " ".join(words)


def place_of(chance: random.Random) -> dict[str, float] | None:
    """Make up where a group is: in the town, anywhere in the country, or nowhere."""
    luck = chance.random()
    if luck < 0.1:
        return None
    if luck < 0.8:
        lat, lon = (chance.gauss(centre, _TOWN_DEGREES) for centre in CENTRE)
    else:
        lat, lon = chance.uniform(21.0, 41.0), chance.uniform(100.0, 122.0)
    return {"lat": lat, "lon": lon}


def founding(number: int, chance: random.Random) -> Append:
    """Make the append that founds a group."""
    stream = StreamKey(GROUP, TENANT, f"g{number:07}")
    owner = f"u{number % 5_000}"
    record = Record(
        *(1, number, "created", owner, "", 0, 1, 0, False),
        *(b"\x00", b"", b"", b"\x00", bytes(32), bytes(32)),
    )
    card = {
        "name": name_of(chance),
        "owner": owner,
        "discoverable": True,
        "category": chance.choice(CATEGORIES),
        "location": place_of(chance),
        "created_ms": number,
    }
    member = PutMember(owner, 3, owner, joined_ms=number, joined_seq=1, floor=1)
    return Append(stream, 0, (record,), (PutCard(card), member))


def fill(store: Store, groups: int, advance: Callable[[int], None]) -> None:
    """Found the groups, and say after each round how many there were in it."""
    chance = random.Random(SEED)
    appends = (founding(number, chance) for number in range(groups))
    while batch := list(islice(appends, ROUND)):
        failed = list(store.commit([AppendAll((one,)) for one in batch]))
        assert not any(failed), failed
        advance(len(batch))


# --- the questions


def _asking(query: Callable[[random.Random], str], *, category: bool = False) -> Any:
    def make(chance: random.Random) -> dict[str, Any]:
        chosen = chance.choice(CATEGORIES) if category else ""
        return {"query": query(chance), "category": chosen, "near": None}

    return make


def _around(radius_m: int, *, dense: bool, query: str = "") -> Any:
    def make(chance: random.Random) -> dict[str, Any]:
        lat, lon = CENTRE if dense else _DESERT
        spread = _TOWN_DEGREES if dense else 2.0
        near = Near(chance.gauss(lat, spread), chance.gauss(lon, spread), radius_m)
        return {"query": query, "category": "", "near": near}

    return make


def _part_of_name(chance: random.Random, length: int) -> str:
    while True:
        name = "".join(chance.choice(words) for words in (_PLACES, _WHO, _WHAT, _KIND))
        if len(name) >= length:
            begin = chance.randrange(len(name) - length + 1)
            return name[begin : begin + length]


def _beginning(chance: random.Random) -> str:
    word = chance.choice(chance.choice((_ADJECTIVES, _ACTIVITIES, _CIRCLES))).split()[0]
    return word[: chance.randrange(1, 5)]


def _never_together(chance: random.Random) -> str:
    """Two characters that are frequent, and seldom neighbours."""
    return chance.choice("群湖上球部杭社") + chance.choice("州周夜徒末书大会")


KINDS: Final = (
    Kind("1 Chinese character", _asking(lambda chance: _part_of_name(chance, 1))),
    Kind("2 Chinese characters", _asking(lambda chance: _part_of_name(chance, 2))),
    Kind("4 Chinese characters", _asking(lambda chance: _part_of_name(chance, 4))),
    Kind("2 that are seldom neighbours", _asking(_never_together)),
    Kind("a whole name", _asking(name_of)),
    Kind("beginning of an English word", _asking(_beginning)),
    Kind(
        "beginnings of two English words",
        _asking(lambda chance: f"{_beginning(chance)} {_beginning(chance)}"),
    ),
    Kind("category", _asking(lambda _chance: "", category=True)),
    Kind(
        "1 character and category",
        _asking(lambda chance: _part_of_name(chance, 1), category=True),
    ),
    Kind(
        "2 characters and category",
        _asking(lambda chance: _part_of_name(chance, 2), category=True),
    ),
    Kind("within 3 km, dense", _around(3_000, dense=True)),
    Kind("within 100 km, dense", _around(100_000, dense=True)),
    Kind("within 3 km, sparse", _around(3_000, dense=False)),
    Kind("within 100 km, sparse", _around(100_000, dense=False)),
    Kind("within 100 km and a frequent word", _around(100_000, dense=True, query="徒步")),
    Kind("within 100 km and a rare name", _around(100_000, dense=True, query="西湖夜跑茶道")),
)


@attrs.frozen
class Timing:
    """How long the searches of one kind took, in nanoseconds, the shortest first."""

    title: str
    ascending: Sequence[int]
    found: int
    """All together."""


def measure(store: Store, kind: Kind, count: int) -> Timing:
    """Ask so many questions of a kind, every other one for its second page too."""
    chance = random.Random(SEED)
    times, found = [], 0
    for number in range(count):
        question = kind.make(chance)
        after: Found | None = None
        for _page in range(1 + number % 2):
            begin = time.perf_counter_ns()
            page = store.search(TENANT, **question, after=after, limit=LIMIT)
            times.append(time.perf_counter_ns() - begin)
            found += len(page)
            if len(page) < LIMIT:
                break
            after = page[-2]
    return Timing(kind.title, sorted(times), found)


def table_of(timings: Sequence[Timing]) -> Table:
    """Lay the times out as a table."""
    table = Table(title="groupd search", title_justify="left")
    table.add_column("what is asked for", no_wrap=True)
    for heading in ("found on average", "p50 ms", "p99 ms", "max ms"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for timing in timings:
        table.add_row(*row_of(timing))
    return table


def row_of(timing: Timing) -> tuple[str, ...]:
    """Write the cells of a kind; the last one says where the target is missed."""
    p99_ms = percentile(timing.ascending, 990) / 1e6
    return (
        timing.title,
        f"{timing.found / len(timing.ascending):.1f}",
        f"{percentile(timing.ascending, 500) / 1e6:.2f}",
        f"{p99_ms:.2f}",
        f"{timing.ascending[-1] / 1e6:.2f}",
        "" if p99_ms <= TARGET_MS else f"> {TARGET_MS:g}",
    )


def run(directory: Path, *, groups: int, count: int, console: Console) -> Iterator[Timing]:
    """Fill a store in a directory, and measure every kind of search."""
    store = SqliteStore.open(directory, new_id=lambda: "bench")
    try:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("founding groups", total=groups)
            fill(store, groups, lambda more: progress.advance(task, more))
        with pauses_bounded():  # As in the server.
            for kind in KINDS:
                yield measure(store, kind, count)
    finally:
        store.close()


app = cyclopts.App(name="bench.search", help=__doc__)


@app.default
def main(
    *,
    groups: Annotated[int, Parameter(help="All in one tenant.")] = 100_000,
    count: Annotated[int, Parameter(help="Questions of each kind.")] = 300,
) -> None:
    """Measure what a search takes in a store on disk."""
    with tempfile.TemporaryDirectory(prefix="groupd-search-") as directory:
        timings = list(
            run(Path(directory), groups=groups, count=count, console=Console(stderr=True))
        )
    Console().print(table_of(timings))


if __name__ == "__main__":
    app()
