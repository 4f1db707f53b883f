"""The grammar of %nn, without IPython."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnwidgets.magics.parser import SUBCOMMANDS, Command, InputSize, LineError, parse


def test_no_subcommand_explores():
    assert parse("net") == Command("explore", model="net")
    assert parse("") == Command("explore")
    assert parse("   # the model") == Command("explore")


@pytest.mark.parametrize("expression", ["net.encoder", "nets[0]", 'models["a b"]', "trainer.model[-1]"])
def test_a_model_may_be_an_attribute_or_item_of_a_variable(expression):
    assert parse(expression).model == expression
    assert parse(f"tree {expression} 0").model == expression


def test_tree_takes_a_path_and_a_depth_in_either_order():
    wanted = Command("tree", model="net", target="h.0", depth=2)
    assert parse("tree net h.0 --depth 2") == wanted
    assert parse("tree --depth=2 net h.0") == wanted


def test_a_path_with_a_space_is_quoted_and_one_with_brackets_needs_no_quotes():
    assert parse('show net "x y.weight"').target == "x y.weight"
    assert parse('show net ["a b"].weight').target == '["a b"].weight'


def test_summary_takes_several_inputs_each_with_a_dtype():
    command = parse("summary net --input 2,20 --input (3,):int64 --input=2,5:bool --depth 1")
    assert command.inputs == (InputSize((2, 20)), InputSize((3,), "int64"), InputSize((2, 5), "bool"))
    assert command.depth == 1


def test_trace_takes_variables_by_position_and_by_name():
    command = parse("trace net X batch['y'] mask=M use=None")
    assert command.arguments == ("X", "batch['y']")
    assert command.keywords == (("mask", "M"), ("use", "None"))


def test_auto_is_on_or_off():
    assert parse("auto on").is_on
    assert not parse("auto off").is_on


def test_a_subcommand_alone_explores_a_model_of_that_name():
    assert parse("tree", {"tree"}) == Command("explore", model="tree")
    assert parse("tree tree", {"tree"}) == Command("tree", model="tree")


REFUSED = {
    "tree": ["no model is named", "%nn tree net [path]"],
    "tree net 0 1": ["'1' is one word too many", "%nn tree"],
    "tied net 0": ["'0' is one word too many", "%nn tied net"],
    "net 0": ["'0' is one word too many"],
    "tre net": ["did you mean 'tree'"],
    "tree net --depht 2": ["did you mean --depth"],
    "tree net --depth": ["--depth wants a value"],
    "tree net --depth two": ["'two' is not a whole number"],
    "tree net --depth -1": ["'-1' is not a whole number"],
    "tree net --depth 1 --depth 2": ["2 times"],
    "check net --depth 2": ["no option '--depth'", "takes none"],
    "summary net --input": ["--input wants a value"],
    "summary net --input 2,,20": ["'2,,20' is not a shape", "2,20"],
    "summary net --input 2,x": ["is not a shape"],
    "summary net --input 2,20:int46": ["no dtype 'int46'", "int64"],
    "summary net --input 99999999999,99999999999": ["too large"],
    "trace net mask=M X": ["'X' by position comes after mask="],
    "trace net mask=M mask=M": ["mask= is given twice"],
    "trace net mask= M": ["mask= wants a variable"],
    "auto": ["on or off is missing"],
    "auto maybe": ["'maybe'"],
    "--depth 2": ["option without a subcommand"],
    "show net [0": ["[ is never closed"],
    'show net "0': ['" is never closed'],
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_parsed_says_in_one_line_what_was_found_and_what_would_do(line):
    with pytest.raises(LineError) as caught:
        parse(line, {"net"})
    message = str(caught.value)
    assert "\n" not in message
    for part in REFUSED[line]:
        assert part in message


@given(st.text(max_size=60))
def test_any_line_gives_a_command_or_one_line(line):
    try:
        command = parse(line)
    except LineError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - most lines do parse
        assert len(str(error)) < 600  # noqa: PT017
    else:
        assert command.name in {*SUBCOMMANDS, "explore"}
