"""Source code in a paste: no request is read out of it, and what a program printed is still read."""

from __future__ import annotations

from whocut.verdict.triage import Cause, triage

PYTHON = '''
import httpx

class Draws:
    """Draws one picture."""

    def __init__(self, client):
        self.client = client

    async def one(self, prompt):
        try:
            return await self.client.post("/v1/images/generations", json=prompt)
        except httpx.ConnectTimeout:
            raise RuntimeError("connection refused or timed out")
        except httpx.ReadTimeout:
            return None
'''
GO = """
func (c *client) draw(ctx context.Context) error {
	resp, err := c.do(ctx)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("unexpected EOF")
	}
	if err != nil {
		return errors.New("connection reset by peer")
	}
	defer resp.Body.Close()
	return nil
}
"""


def test_source_code_tells_of_no_request() -> None:
    """A program that handles errors has not met them."""
    for text in (PYTHON, GO):
        found = triage(text)

        assert (found.cause, found.layer, found.timer) == (Cause.UNKNOWN, None, None)
        assert "source code" in found.name


def test_what_the_program_printed_is_read_below_its_code() -> None:
    """The last line of a traceback outranks the code around it."""
    found = triage(
        f"{PYTHON.partition('            raise')[0]}\nhttpx.ReadTimeout: The read operation timed out"
    )

    assert (found.cause, found.layer) == (Cause.TIMEOUT_CHAIN, "httpx")


def test_a_few_lines_are_never_taken_for_code() -> None:
    """An error that Node shows as an object looks like code, and is none."""
    found = triage("TypeError: fetch failed {\n  cause: {\n    code: 'UND_ERR_HEADERS_TIMEOUT',\n  },\n};")

    assert found.layer == "undici"


def test_a_column_of_numbers_holds_no_status() -> None:
    """A table is no list of answers, and a number that no server uses is no status."""
    assert triage("504\n506\n512\n544\n560\n592\n").status is None
    assert triage("544").status is None
