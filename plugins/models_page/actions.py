"""What the page's buttons do: start a DAG as the user who presses them, with the reason that they gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Request, status
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from plugins.addresses import PREFIX
from plugins.models_page import tokens
from plugins.models_page.access import may_start
from plugins.models_page.airflow_runs import is_paused, trigger
from plugins.models_page.render import root_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FORM", "NOTICE", "router"]

router = APIRouter()

#: What the tokens of forms and of redirects are for.
FORM, NOTICE = "form", "notice"
MIN_REASON, MAX_REASON = 3, 1000
LONGEST_VERSION = 9


@router.post("/actions/{action}", dependencies=[Depends(may_start)])
async def start(request: Request, user: GetUserDep, action: str) -> RedirectResponse:
    """Start a run, and go back to the page, which says so.

    Raises:
        HTTPException: 403 for a form that is not of our page, 400 for what it holds; else as Airflow answers.
    """
    _refuse_foreign(request)
    async with request.form() as form:
        _refuse_forged(form, user.get_id())
        reason = _reason(form)
        conf = {**READERS[action](form), "reason": reason}
    # Asked before: whatever fails after the run has begun would look as if it had not.
    paused = await is_paused(request, action)
    notice = {"dag_id": action, "run_id": await trigger(request, action, conf, reason), "paused": paused}
    query = urlencode({"notice": tokens.issue(NOTICE, notice)})
    return RedirectResponse(f"{root_of(request)}{PREFIX}/models?{query}", status.HTTP_303_SEE_OTHER)


def _refuse_foreign(request: Request) -> None:
    """Browsers say where a request comes from; a page of another site has no business here."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "The form was sent from another site. Use the Models page.")


def _refuse_forged(form: FormData, user_id: str) -> None:
    if tokens.read(FORM, _text(form, "token")) != user_id:
        raise HTTPException(
            status.HTTP_403_FORBIDDEN, "The form is not of your page, or is older than half a day. Open the page again."
        )


def _reason(form: FormData) -> str:
    reason = " ".join(_text(form, "reason").split())
    if not MIN_REASON <= len(reason) <= MAX_REASON:
        raise HTTPException(
            status.HTTP_400_BAD_REQUEST,
            f"The reason has {len(reason)} characters; it needs {MIN_REASON} to {MAX_REASON}, and is kept on record.",
        )
    return reason


def _retrain(form: FormData) -> dict[str, Any]:
    variants = [str(name) for name in form.getlist("variants")]
    if not variants:  # which the DAG's own form takes for all of them
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "No variant is ticked. Tick one or more.")
    return {"variants": variants, "force": _ticked(form, "force")}


def _promote(form: FormData) -> dict[str, Any]:
    return {"retrain_id": _text(form, "retrain_id"), "against_the_gate": _ticked(form, "against_the_gate")}


def _rollback(form: FormData) -> dict[str, Any]:
    text = _text(form, "version")
    if text and not (text.isdecimal() and len(text) <= LONGEST_VERSION):
        raise HTTPException(status.HTTP_400_BAD_REQUEST, f"{text!r} is no version. Choose one from the list.")
    return {"version": int(text)} if text else {}


READERS: Mapping[str, Callable[[FormData], dict[str, Any]]] = {
    "retrain": _retrain,
    "promote": _promote,
    "rollback": _rollback,
}


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _ticked(form: FormData, name: str) -> bool:
    return _text(form, name) == "on"
