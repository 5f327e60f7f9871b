"""Newest posts of subreddits."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from pipelines.config import Settings
from pipelines.config_sources import Http, Reddit, listed
from pipelines.contracts.columns import Kind
from pipelines.contracts.window import Window
from pipelines.errors import ConfigError
from pipelines.ingest.gather import Gather, changed, following, readable, records, since_epoch, text
from pipelines.ingest.http import Client
from pipelines.ingest.network import NetworkProvider
from pipelines.ingest.spool import Spool

_GONE = frozenset({"[removed]", "[deleted]"})


class RedditProvider(NetworkProvider):
    """Posts from the listing ``/r/<subreddit>/new``; ``source`` is ``reddit/<subreddit>``.

    A post is available from its creation; one that was edited, from its last edit: the words we see are those. Score
    and comments are as of the crawl, so they are not taken at all. The listing reaches about 1,000 posts back.
    """

    name = "reddit"
    kind = Kind.DOCUMENTS

    def __init__(self, settings: Reddit, http: Http, spool: Spool) -> None:
        self._settings, self._options, self._spool = settings, http, spool
        self._subreddits = listed(settings.subreddits)
        if not self._subreddits or (settings.client_id is None) != (settings.client_secret is None):
            raise ConfigError("the reddit source needs TIDEMARK_REDDIT__SUBREDDITS, and __CLIENT_ID together with "
                              "__CLIENT_SECRET or neither")

    @classmethod
    def from_settings(cls, settings: Settings) -> RedditProvider:
        return cls(settings.reddit, settings.http, Spool(cls.name, settings.home / "spool"))

    def _read(self, gather: Gather, window: Window, symbols: Sequence[str] | None) -> None:
        """Posts that appeared in ``window``, as far as the listings reach back."""
        oldest = window.start - self._options.overlap
        token = self._token()
        headers = {"User-Agent": self._settings.user_agent}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        base = self._settings.login if token is None else self._settings.url
        with Client(self.name, base, self._options, headers=headers, secrets=[token]) as client, \
                self._spool.session():
            for subreddit in self._subreddits:
                def page(after: str, subreddit: str = subreddit) -> tuple[list[Any], str | None]:
                    return self._page(client, subreddit, after, oldest)

                asked = [base, subreddit, self._settings.page, oldest.isoformat(), window.end.isoformat()]
                for children in self._spool.walk(asked, page, ""):
                    gather.read(children, _row)

    def _token(self) -> SecretStr | None:
        """An application-only token (OAuth 2, client credentials), None without a client."""
        if self._settings.client_id is None or self._settings.client_secret is None:
            return None
        pair = f"{self._settings.client_id}:{self._settings.client_secret.get_secret_value()}"
        basic = base64.b64encode(pair.encode()).decode()
        with Client(self.name, self._settings.login, self._options,
                    secrets=[self._settings.client_secret, SecretStr(basic)]) as client:
            answer = client.json("/api/v1/access_token", method="POST", content="grant_type=client_credentials",
                                 headers={"Authorization": f"Basic {basic}",
                                          "User-Agent": self._settings.user_agent,
                                          "Content-Type": "application/x-www-form-urlencoded"})
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise changed(self.name, "access_token", "is missing in the answer to the login")
        return SecretStr(token)

    def _page(self, client: Client, subreddit: str, after: str, oldest: datetime) -> tuple[list[Any], str | None]:
        answer = client.json(f"/r/{subreddit}/new.json", {"limit": self._settings.page, "raw_json": 1,
                                                          **({"after": after} if after else {})})
        children = records(self.name, answer, "data", "children", needed=("data",))
        posts = [child.get("data") if isinstance(child, Mapping) else child for child in children]
        records(self.name, {"data": posts}, "data", needed=("id", "created_utc", "title"))
        times = readable(posts, "created_utc", since_epoch)
        after_this = following(self.name, "data.after", answer["data"].get("after"), str)
        # Stickied and late posts can stand out of order: only a page that is older as a whole ends the walk.
        return posts, after_this if times and max(times) >= oldest else None


def _row(post: Mapping[str, Any]) -> Mapping[str, Any]:
    created = since_epoch(post["created_utc"])
    edited = post.get("edited")
    known = max(created, since_epoch(edited)) if edited and edited is not True else created
    title, body = text(post["title"]), text(post.get("selftext"))
    permalink, subreddit = text(post.get("permalink")), text(post["subreddit"])
    if subreddit is None:
        raise KeyError("subreddit")
    return {"source": f"reddit/{subreddit}", "doc_id": post["id"], "event_time": created,
            "available_at": known, "kind": "post", "title": title,
            "text": title if body is None or body in _GONE else body,
            "url": f"https://www.reddit.com{permalink}" if permalink else None}
