"""Texts in the monitor's page: words, where the reference knows what the tokens are."""

from dataclasses import replace

import numpy as np
from exports import trained
from trained import EMBEDDING, SETTINGS, define, prepared

import export
from lab.base.params import ModelParams, MonitorParams
from lab.data.examples import Tokeniser
from lab.monitoring import page
from lab.monitoring.watch import State, Watch
from lab.shifts import reference as references

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ed", *(f"word{k}" for k in range(24))]


def test_tokens_are_shown_as_words_where_export_knew_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    define(monkeypatch, "words", EMBEDDING)
    tokens = np.random.default_rng(0).integers(6, 30, (90, 6))
    tokens[:, 0], tokens[:, 5], tokens[0] = 2, 0, [2, 4, 5, 3, 0, 0]
    data = prepared(tokens, "text", vocabulary=30)
    _, found, _ = trained(ModelParams(network="words", width=6, **SETTINGS), data)
    tokeniser = Tokeniser(
        form="wordpiece", pieces=PIECES, is_lower_case=True, unknown=1, start=2, end=3
    )
    named = data.description.model_copy(update={"tokeniser": tokeniser})
    known = replace(data, description=named)

    shown = []
    for name, given in (("ids", data), ("words", known)):
        path = tmp_path / f"{name}.npz"
        path.write_bytes(export.reference_of(found, given, {}))
        watch = Watch(references.read(path), MonitorParams(), State())
        shown.append(page._texts(watch, tokens[:2]))

    words = " ".join(PIECES[token] for token in tokens[1, :5])
    assert shown[0][0] == "2 4 5 3 0 0"
    assert shown[1] == ["[CLS] played [SEP]", words]
