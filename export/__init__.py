"""Exporters: a trained model becomes files that need no torch. One module a target; `packaging` makes the whole bundle.

    graph       builds ONNX graphs node by node
    quantise    int8 weights that are exact on every CPU
    acoustic    the acoustic model as one ONNX graph for every latency
    parity      torch against the exported graphs: any length, any latency
    packaging   checkpoint -> bundle, checked before anything is put in place
    restore     bundle -> checkpoint, to train on

Needs the extra `export`; only parity and packaging import the client, to check with the code that users run.
"""
