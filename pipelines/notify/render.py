"""A notice as plain text, as HTML for mail, and as Slack's blocks. Whatever stands in it is text, never markup."""

from __future__ import annotations

from html import escape
from typing import Any

from pipelines.contracts.notices import Notice, Severity
from pipelines.notify.wording import instant

#: Slack refuses more: characters of a header and of a section, blocks of a message (docs.slack.dev, Block Kit).
MOST_HEADER, MOST_SECTION, MOST_BLOCKS = 150, 3000, 50
COLOUR = {Severity.INFO: "#2563a8", Severity.WARNING: "#8a5a00", Severity.CRITICAL: "#b3322c"}
FONT = "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif"


def text(notice: Notice) -> str:
    """The whole notice as plain text."""
    return "\n".join([notice.title, "", *notice.body, "", _foot(notice), *([notice.link] if notice.link else [])])


def html(notice: Notice) -> str:
    """The whole notice as a small page without scripts, pictures or foreign addresses."""
    inside = notice.html or "".join(f"<p style=\"margin:0 0 10px\">{'<br>'.join(map(_text, part))}</p>"
                                    for part in paragraphs(notice.body))
    link = f'<p><a href="{escape(notice.link)}">{escape(notice.link)}</a></p>' if notice.link else ""
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(notice.title)}</title></head>'
            f'<body style="margin:0;padding:20px;{FONT};color:#1b2430">'
            f'<h1 style="font-size:18px;margin:0 0 12px;color:{COLOUR[notice.severity]}">{escape(notice.title)}</h1>'
            f'{inside}{link}<p style="color:#5d6b7c;font-size:13px">{escape(_foot(notice))}</p></body></html>')


def slack(notice: Notice) -> dict[str, Any]:
    """``text`` for notifications and small clients, ``blocks`` for the rest; within Slack's limits."""
    parts = paragraphs(notice.brief or notice.body)
    sections = [_section(_mrkdwn("\n".join(part))) for part in parts if any(part)][:MOST_BLOCKS - 3]
    foot = _mrkdwn(_foot(notice)) + (f" · <{_mrkdwn(notice.link)}|open>" if notice.link else "")
    return {"text": _mrkdwn(notice.title),
            "blocks": [{"type": "header", "text": {"type": "plain_text", "text": notice.title[:MOST_HEADER]}},
                       *sections, {"type": "context", "elements": [{"type": "mrkdwn", "text": foot}]}]}


def paragraphs(lines: tuple[str, ...]) -> list[list[str]]:
    """Lines in groups: an empty one stands between two."""
    found: list[list[str]] = [[]]
    for line in lines:
        if line:
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [part for part in found if part]


def _text(line: str) -> str:
    return ("&nbsp;&nbsp;" if line.startswith("  ") else "") + escape(line.strip())


def _section(words: str) -> dict[str, Any]:
    if len(words) > MOST_SECTION:
        whole, _, last = words[:MOST_SECTION - 2].rpartition("\n")
        # A single long line is cut inside, but not inside of an "&amp;".
        words = f"{whole}\n…" if whole else f"{last if last.rfind('&') <= last.rfind(';') else last[:last.rfind('&')]}…"
    return {"type": "section", "text": {"type": "mrkdwn", "text": words}}


def _mrkdwn(words: str) -> str:
    """Slack's three special characters (docs.slack.dev, Formatting text): without them nobody is mentioned and no
    link is made by a text of somebody else's."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _foot(notice: Notice) -> str:
    about = f"{notice.line} · " if notice.line else ""
    return f"Tidemark · {about}{notice.kind} · {notice.severity.value} · {instant(notice.event_time)}"
