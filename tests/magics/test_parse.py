"""The grammar of %nn, without IPython."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnwidgets.introspect.tracing.inputs import InputSize
from nnwidgets.magics.line.grammar import Command, LineError
from nnwidgets.magics.parse import parse, parse_cell
from nnwidgets.magics.subcommands.table import SUBCOMMANDS, WRITING


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


def test_init_takes_a_target_an_initializer_parameters_and_options_in_any_place():
    wanted = Command(
        "init", model="net", target="0.weight", arguments=("0.weight",), how="normal_",
        keywords=(("mean", "-1"), ("std", "0.5")), seed=-7, flags=frozenset({"--preview"}),
    )  # fmt: skip
    assert parse("init net 0.weight normal_ mean=-1 std=0.5 --seed -7 --preview") == wanted
    assert parse("init --preview --seed=-7 net 0.weight normal_ mean=-1 std=0.5") == wanted


def test_set_reads_what_is_left_and_right_of_the_equals_sign():
    for line in ("set net 0.weight[0,0]=42", "set net 0.weight[0, 0] = 42", "set net 0.weight [0, 0] = 42  # odd"):
        command = parse(line)
        assert command.target.replace(" ", "") == "0.weight[0,0]"
        assert command.value == "42"
    assert parse("set net bias = -1e-3").value == "-1e-3"
    assert parse("set net bias = [1.0, -2]").value == "[1.0, -2]"
    assert parse('set net ["a=b"].bias = x').target == '["a=b"].bias'
    assert parse('set net "a b.bias" = 1').target == "a b.bias"


def test_freeze_takes_several_targets_and_undo_a_flag():
    assert parse("freeze net 0.* 2.bias").arguments == ("0.*", "2.bias")
    assert parse("undo net --force").flags == {"--force"}
    assert parse("code net 2").number == 2
    assert parse("code net").number is None


def test_the_cell_magic_takes_modules_and_a_seed():
    command = parse_cell("net Linear 0 --seed 3 --clear-state")
    assert (command.model, command.arguments, command.seed) == ("net", ("Linear", "0"), 3)
    assert command.flags == {"--clear-state"}


def test_help_is_asked_for_by_an_option():
    assert parse("init --help") == Command("help", target="init")
    assert parse("tree net -h") == Command("help", target="tree")
    assert parse_cell("--help") == Command("help", target="%%nn_init")


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
    "net 0 1": ["'1' is one word too many"],
    "explore": ["no model is named", "%nn explore net [path]"],
    "help net": ["'net' is no subcommand"],
    "open net": ["'open' is no subcommand and no model", "%nn net"],
    "get net 0.weight": ["'get' is no subcommand and no model"],
    "stat net": ["did you mean 'stats'"],
    "inti net": ["did you mean 'init'"],
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
    "init": ["no model is named", "%nn init net 0.weight xavier_uniform_"],
    "init net": ["no tensor or module is named"],
    "init net 0.weight": ["no initializer is named"],
    "init net 0.weight gain=2": ["no initializer is named"],
    "init net 0.weight normal_ 2": ["'2' is one word too many", "gain=2"],
    "init net 0.weight normal_ std= 2": ["std= wants a value"],
    "init net 0.weight normal_ std=1 std=2": ["std= is given twice"],
    "init net 0.weight normal_ --seed x": ["'x' is not a whole number", "7"],
    "init net 0.weight normal_ --seed 1 --seed 2": ["2 times"],
    "init net 0.weight normal_ --preveiw": ["did you mean --preview"],
    "init net 0.weight normal_ --preview=yes": ["takes no value"],
    "set net": ["no tensor is named"],
    "set net 0.bias": ["no = and value"],
    "set net 0.bias 42": ["no = and value", "%nn set net 0.weight[0,0] = 42"],
    "set net 0.bias =": ["no value stands after"],
    "set net 0.bias == 3": ["no value stands after"],
    "set net = 3": ["no tensor is named before"],
    "set --seed 3 net": ["takes no options"],
    "freeze net": ["no tensor or module is named", "**"],
    "undo": ["no model is named"],
    "undo net 0": ["'0' is one word too many"],
    "redo net --fore": ["did you mean --force"],
    "log net 2": ["one word too many"],
    "code net x": ["not the number of a change"],
    "code net 1 2": ["'2' is one word too many"],
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
        assert command.name in {*SUBCOMMANDS, "explore", "help"}


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("ties net", "tied net"),
        ("history net", "log net"),
        ("peek mlp.params", "ls mlp.params"),
        ("assign net 0.weight[0, 1] = 4", "set net 0.weight[0, 1] = 4"),
        ("plan net mlp.params --rename a=b", "load net mlp.params --rename a=b --dry-run"),
        ("explore net", "net"),
    ],
)
def test_names_of_the_packages_functions_will_do(line, same):
    assert parse(line) == parse(same)


def test_a_model_of_such_a_name_is_explored():
    assert parse("history", models={"history"}) == Command("explore", model="history")
    assert parse("explore", models={"explore"}) == Command("explore", model="explore")


@pytest.mark.parametrize("word", ["get", "see", "stat", "test", "view", "open", "print", "let", "look"])
def test_nothing_that_writes_is_proposed_to_who_wants_to_read(word):
    with pytest.raises(LineError) as caught:
        parse(f"{word} net")
    assert not any(f"did you mean {name!r}" in str(caught.value) for name in WRITING)


def test_a_path_and_a_filter_after_the_model_open_there():
    assert parse("net 0.weight", {"net"}) == parse("explore net 0.weight")
    assert parse("trainer.model 0.weight --filter Linear").filter == "Linear"
    assert parse("nets[0] 'a b'").target == "a b"
    assert parse("help init") == parse("init --help")
    assert parse("help ties") == Command("help", target="tied")
    assert parse("help") == Command("help")
