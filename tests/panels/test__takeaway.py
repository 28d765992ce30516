"""The program is made when people want to see it and follows what is on show."""

import ipywidgets

from labkit.panels._takeaway import Takeaway


def test_the_code_is_made_when_people_want_it_and_follows_what_is_on_show() -> None:
    asked: list[str] = []

    def program() -> str:
        asked.append("program")
        return f"print({len(asked)})\n"

    made = Takeaway(program, lambda callback: callback, "What there is.", "A program", (ipywidgets.Button(description="More"),))
    made.draw()
    assert asked == []
    assert made._holder.children == ()
    assert "What there is." in made.view._summary.value
    made.code_button.value = True
    (code,) = made._holder.children
    assert (code.text, made.code_button.description) == ("print(1)\n", "Hide the code")
    made.draw()
    assert code.text == "print(2)\n"
    made.code_button.value = False
    assert made._holder.children == ()
    assert made.code_button.description == "Show the code"
