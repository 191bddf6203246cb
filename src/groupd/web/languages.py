"""Which language somebody reads, and what the pages of the server say in it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from groupd.domain.group import conditions

ENGLISH: Final = "en"
CHINESE: Final = "zh-CN"
LOCALES: Final[Mapping[str, str]] = MappingProxyType({ENGLISH: "en_US", CHINESE: "zh_CN"})
"""Language -> its name among those that Open Graph has, which are of a country."""
WANTED_MAX: Final = 20
"""Languages of a request that are looked at."""

WORDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        ENGLISH: {
            "member": "{count} member",
            "members": "{count} members",
            "shared": "{name} invites you",
            "join": "Join the group",
            "ask": "Ask to join",
            "scan": "Scan to open this page on your phone",
            "women": "{percent} % women",
            "age": "{years} years on average",
            "active": "{count} active this week",
            "yesterday": "{count} messages yesterday",
            "condition": "Who may join: {condition}",
            "full": "This group is full.",
            "full_hint": "Ask whoever shared the link whether there is another one.",
            "gone": "This link does not work.",
            "gone_hint": "It was withdrawn, or is not complete. Ask for a new one.",
            "expired": "This link is no longer valid.",
            "expired_hint": "Ask whoever shared it for a new one.",
            "over": "This group was dissolved.",
            "over_hint": "There is nothing left to join.",
            "busy": "Too much is going on right now.",
            "busy_hint": "Try again in a moment.",
            "qr": "QR code of this page",
        },
        CHINESE: {
            "member": "{count} 位成员",
            "members": "{count} 位成员",
            "shared": "{name} 邀请你加入",
            "join": "加入群聊",
            "ask": "申请加入",
            "scan": "用手机扫一扫，打开本页",
            "women": "女性 {percent}%",
            "age": "平均 {years} 岁",
            "active": "本周活跃 {count} 人",
            "yesterday": "昨日消息 {count} 条",
            "condition": "入群条件：{condition}",
            "full": "群已满员",
            "full_hint": "可以问问分享者是否还有别的群。",
            "gone": "链接无效",
            "gone_hint": "链接已被撤回或不完整，请向分享者重新索取。",
            "expired": "链接已失效",
            "expired_hint": "请向分享者重新索取。",
            "over": "群已解散",
            "over_hint": "这个群已经不存在了。",
            "busy": "现在人太多了",
            "busy_hint": "请稍后再试。",
            "qr": "本页二维码",
        },
    }
)
"""Language -> name of a text -> the text. All have the same names."""

CONDITIONS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        ENGLISH: conditions.WORDS,
        CHINESE: {
            "all": " 且 ",
            "any": " 或 ",
            "not": "不满足 {clause}",
            "is": "{claim} 为 {value}",
            "at_least": "{claim} 不低于 {value}",
            "at_most": "{claim} 不超过 {value}",
            "has": "{claim} 包含 {value}",
        },
    }
)
"""Language -> what an entry condition is said in."""


def language_of(accepted: str) -> str:
    """Choose a language by an ``Accept-Language`` (RFC 9110, section 12.5.4); English else."""
    best, chosen = 0.0, ENGLISH
    for part in accepted.split(",")[:WANTED_MAX]:
        name, _, weight = part.strip().partition(";")
        language = CHINESE if name.lower().split("-")[0] == "zh" else ENGLISH
        if language == ENGLISH and name.lower().split("-")[0] not in ("en", "*"):
            continue
        worth = _worth(weight)
        if worth > best:
            best, chosen = worth, language
    return chosen


def _worth(weight: str) -> float:
    if not weight.strip():
        return 1.0
    try:
        return float(weight.strip().removeprefix("q="))
    except ValueError:
        return 0.0
