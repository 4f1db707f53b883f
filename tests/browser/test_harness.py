"""The driver itself: a notebook opens, runs and answers."""


def test_a_notebook_runs_in_a_real_kernel_and_tells_its_values(lab):
    notebook = lab.open(["answer = 41", "answer += 1\nanswer"])
    notebook.run(0, 1)
    assert notebook.kernel("answer") == 42
    assert notebook.outputs(1)[0]["data"]["text/plain"] == "42"
    assert notebook.output(1).inner_text().strip().endswith("42")
