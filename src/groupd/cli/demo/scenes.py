"""What is said in the demo: four groups, in Chinese and English. Nothing here happened.

A step with a ``mark`` can be spoken of later: replied to, liked, pinned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs

YOU: Final = "you"
FRIEND: Final = "lin"
"""Whom the second window is for."""

NEWCOMERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "newcomer": "小新 Xin",
        "yu": "小雨 Yu",
        "ben": "Ben",
        "ana": "Ana",
        "ma": "老马",
    }
)
"""Who is in no group yet, and comes by the share link: user -> name."""
NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        YOU: "你 You",
        FRIEND: "小林 Lin",
        "wang": "王芳",
        "chen": "陈晨",
        "li": "李师傅",
        "zhao": "赵奶奶",
        "sophie": "Sophie",
        "tom": "Tom",
        "maya": "Maya",
        "bo": "阿波",
        "emma": "Emma",
        "dora": "多拉",
    }
)
"""User -> name."""


@attrs.frozen
class Say:
    """Somebody posts a text, or a card with one."""

    who: str
    text: str = ""
    card: Mapping[str, Any] | None = None
    mark: str = ""
    to: str = ""
    """The mark of what it replies to."""
    mentions: tuple[str, ...] = ()


@attrs.frozen
class Like:
    """Somebody reacts to what has a mark."""

    who: str
    mark: str
    reaction: str = "👍"


@attrs.frozen
class Announce:
    """Somebody announces something."""

    who: str
    text: str


@attrs.frozen
class PinUp:
    """Somebody pins what has a mark."""

    who: str
    mark: str


@attrs.frozen
class Ask:
    """Somebody asks to be let in."""

    who: str
    message: str


Step: TypeAlias = Say | Like | Announce | PinUp | Ask


@attrs.frozen
class Scene:
    """A group: what it is, who is in it, what was said before, and what will be."""

    owner: str
    members: tuple[str, ...]
    settings: Mapping[str, Any]
    before: Sequence[Step]
    """Said at once, so that whoever comes finds something to read."""
    live: Sequence[Step]
    """Said one after the other, with pauses."""


HIKES: Final = Scene(
    owner=YOU,
    members=(FRIEND, "wang", "chen", "sophie", "tom"),
    settings={
        "name": "周末徒步 Weekend hikes",
        "category": "运动",
        "description": "每周六一条山路，走得动就来。\nA trail every Saturday. Newcomers welcome.",
        "location": {"lat": 30.2455, "lon": 120.1487},
        "join_policy": "approval",
        "time_zone": "Asia/Shanghai",
        "public_stats": True,
    },
    before=(
        Announce(YOU, "周六七点半，西湖断桥集合。带水，穿防滑的鞋。Saturday 7:30, Broken Bridge."),
        Say("wang", "这周走哪条线？"),
        Say(
            "chen",
            "宝石山上去，从北高峰下来，十一公里左右",
            {
                "type": "place",
                "name": "断桥 Broken Bridge",
                "lat": 30.2584,
                "lon": 120.1486,
                "address": "杭州市西湖区北山街",
            },
            mark="route",
        ),
        PinUp(YOU, "route"),
        Say("sophie", "Is it steep? My knee is only just fine again.", mark="knee"),
        Say("tom", "First hour yes, then it is all downhill. I can lend you poles.", to="knee"),
        Like("sophie", "route"),
        Like("wang", "route", "🥾"),
        Say("wang", "我带桂花糕，谁对花生过敏吗？", mark="cake"),
        Like("tom", "cake", "😋"),
        Like("chen", "cake", "😋"),
        Ask("bo", "我是陈晨的同事，能一起走吗？"),
    ),
    live=(
        Say("chen", "天气预报说周六多云，十八到二十四度，刚刚好"),
        Say("sophie", "Perfect. See you at the bridge!"),
        Ask("emma", "Hi! I met Tom on the last hike. May I join?"),
        Say("wang", "@你 有两位在等审核，记得看一眼 🙂", mentions=(YOU,)),
        Say("tom", "Emma is great, she carried my tent once.", mark="emma"),
        Like("sophie", "emma", "😄"),
        Say(
            "chen",
            "上次的照片整理好了",
            {
                "type": "link",
                "url": "https://example.com/hikes/longjing",
                "title": "龙井到九溪，十二张照片",
                "description": "茶园、雾、和一只一直跟着我们的狗",
            },
            mark="photos",
        ),
        Like("wang", "photos", "❤️"),
        Like("tom", "photos", "❤️"),
        Say("sophie", "The dog! I still think we should have kept it.", to="photos"),
        Ask("dora", "在小红书上看到你们的路线，想报名"),
        Say("wang", "下山以后要不要一起吃片儿川？"),
        Say("tom", "I do not know what that is, so yes."),
        Say("chen", "我来订位子，先按八个人"),
    ),
)

TEA: Final = Scene(
    owner="li",
    members=(YOU, FRIEND, "wang", "zhao", "tom"),
    settings={
        "name": "李师傅的茶铺",
        "category": "商家",
        "description": "每天现炒，群里先喝。下午四点直播。",
        "public_stats": True,
    },
    before=(
        Announce("li", "明前龙井到货，群友九折，本周内有效。"),
        Say(
            "li",
            "今年头一批，一共四十罐",
            {
                "type": "goods",
                "title": "明前龙井 50 克",
                "price": 16_800,
                "original_price": 18_800,
                "currency": "CNY",
                "url": "https://example.com/tea/longjing",
            },
            mark="longjing",
        ),
        PinUp("li", "longjing"),
        Like("zhao", "longjing"),
        Like("wang", "longjing", "🍵"),
        Say("zhao", "老李，我要两罐，还是放门卫那里", to="longjing"),
        Say("li", "好嘞，赵阿姨，给您留着"),
        Say("tom", "Does it come with instructions? I burned the last one.", mark="burn"),
        Say("li", "八十度，三分钟。80 degrees, 3 minutes, no lid.", to="burn"),
        Like("tom", "burn", "🙏"),
    ),
    live=(
        Say("wang", "红茶还有吗？想送人"),
        Say(
            "li",
            "有，祁门的，礼盒装",
            {
                "type": "goods",
                "title": "祁门红茶礼盒",
                "price": 23_800,
                "currency": "CNY",
                "url": "https://example.com/tea/keemun",
            },
            mark="keemun",
        ),
        Like("wang", "keemun"),
        Say("wang", "就这个，来一份"),
        Say(
            "li",
            "四点开播，今天炒青，欢迎来看",
            {
                "type": "live",
                "title": "李师傅炒茶",
                "url": "https://example.com/live/li",
                "host": "李师傅",
            },
            mark="live",
        ),
        Like("zhao", "live", "👏"),
        Say("zhao", "我孙子教我点了赞，是这样吧？"),
        Like("li", "live", "😄"),
        Say("tom", "I will watch. I understand nothing, but it is very calming."),
        Say("li", "Tom 你来铺子里，我现场泡给你喝", mentions=("tom",)),
        Say("wang", "我也去！周日下午？"),
        Say("li", "周日下午，给大家留了靠窗的桌子"),
    ),
)

STUDY: Final = Scene(
    owner="maya",
    members=(YOU, FRIEND, "tom", "sophie", "chen"),
    settings={
        "name": "Evening readers",
        "category": "学习",
        "description": "One paper a week, read slowly. Questions are the point.",
    },
    before=(
        Announce("maya", "This week: consistent hashing. Sections 1 to 3, and one question each."),
        Say(
            "maya",
            "The paper, with my notes in the margin",
            {
                "type": "file",
                "name": "consistent-hashing-notes.pdf",
                "url": "https://example.com/papers/hashing.pdf",
                "size_bytes": 734_003,
                "media_type": "application/pdf",
            },
            mark="paper",
        ),
        PinUp("maya", "paper"),
        Say("chen", "Why a ring and not a line? Is it only a nicer picture?", mark="ring"),
        Say("tom", "The last node would be everybody's problem on a line.", to="ring", mark="line"),
        Like("chen", "line", "💡"),
        Like("maya", "line"),
        Say("sophie", "I liked that the proof fits on half a page."),
    ),
    live=(
        Say("maya", "Good question to begin with: what moves when a node leaves?", mark="moves"),
        Say("sophie", "Only its own keys, to the next one.", to="moves", mark="next"),
        Like("maya", "next", "✅"),
        Say("chen", "所以负载会落在一个邻居身上？", to="next"),
        Say("maya", "Yes, and that is what the virtual nodes are for. Section 3."),
        Say("tom", "How many of them does one need? The paper is shy about it."),
        Say("chen", "我跑了个小实验：一百个时，最大的比平均多百分之二十多", mark="test"),
        Like("tom", "test", "🤓"),
        Like("sophie", "test"),
        Say("maya", "Lovely. Could you put the script somewhere?", to="test"),
        Say(
            "chen",
            "",
            {
                "type": "link",
                "url": "https://example.com/snippets/ring",
                "title": "ring.py: forty lines, no dependencies",
            },
        ),
        Say("sophie", "Next week something about clocks?"),
        Say("maya", "Next week clocks. I will bring biscuits, in spirit."),
    ),
)

HOUSE: Final = Scene(
    owner="zhao",
    members=(YOU, FRIEND, "wang", "sophie", "li", "tom"),
    settings={
        "name": "三号楼邻里 Building 3",
        "category": "邻居",
        "description": "停水、快递、谁家的猫。Neighbours of building 3.",
        "join_policy": "invite_only",
    },
    before=(
        Announce("zhao", "周四上午九点到十一点停水。No water on Thursday from 9 to 11."),
        Say("wang", "楼下那只橘猫是谁家的？它在我门口睡了一天", mark="cat"),
        Say("sophie", "That is Mandarin. It has no owner, it has staff.", to="cat", mark="staff"),
        Like("wang", "staff", "😂"),
        Like("tom", "staff", "😂"),
        Say("zhao", "给它留了饭，别喂太多"),
        Say("tom", "I have a drill to lend, and a ladder that is older than me."),
        Say(
            "li",
            "新开的修鞋摊，手艺好",
            {"type": "place", "name": "老周修鞋", "lat": 30.2521, "lon": 120.1713},
        ),
    ),
    live=(
        Say("sophie", "Did somebody take a parcel for 502?"),
        Say("zhao", "在我这里，晚饭后来拿", mark="parcel"),
        Like("sophie", "parcel", "❤️"),
        Say("wang", "电梯今天又停在四楼不动"),
        Say("tom", "I called them. They come at five, they say. 五点来修。", mark="lift"),
        Like("wang", "lift", "🙏"),
        Like("zhao", "lift"),
        Say("zhao", "谢谢 Tom,你中文越来越好了"),
        Say("tom", "谢谢赵奶奶！I practise in this group."),
        Say("li", "周日我在院子里摆茶，大家来坐坐", mark="yard"),
        Like("zhao", "yard", "🍵"),
        Like("sophie", "yard", "🍵"),
        Say("sophie", "I bring the cat. Or it brings me."),
        Say("zhao", "那就这么定了"),
    ),
)

GREETINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bo": "大家好，我是阿波！周六见 🥾",
        "emma": "Thank you for letting me in! Is there a spare seat on the way back?",
        "dora": "谢谢通过！第一次走山路，请多关照",
    }
)
"""What those say who have asked, once they are in."""

SCENES: Final = (HIKES, TEA, STUDY, HOUSE)
"""The first one is the visitor's own."""

REPLIES: Final = (
    "好的，收到！",
    "Sounds good to me.",
    "哈哈，同意",
    "Oh, tell us more!",
    "这个主意不错 👏",
    "I was just about to say the same.",
    "等你的好消息",
    "Welcome, by the way!",
)
"""What is answered to somebody who says something themselves."""
