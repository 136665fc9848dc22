"""Kubernetes manifests: read, and held against the API's own JSON schemas, by PyPI's kubernetes-validate.

    documents = kubernetes.load(text)             # dicts, as kubectl would read them
    kubernetes.problems(text, "1.29")             # unknown fields, missing ones, wrong types: a line each

The package lies in a virtual environment of its own (deploy/setup: setup_kubernetes), and is asked by
running this file with the Python there.
"""

import json
import os
import subprocess
import sys


def _python():
    from programs import cache  # not in the virtual environment
    path = os.path.join(cache(), "pypi", "kubernetes", "bin", "python")
    if not os.path.exists(path):
        raise AssertionError("kubernetes-validate is missing: tests/run installs it from PyPI")
    return path


def _ask(text, *arguments):
    result = subprocess.run([_python(), __file__, *arguments], input=text, capture_output=True, text=True)
    if result.returncode:
        raise AssertionError(result.stderr)
    return json.loads(result.stdout)


def load(text):
    return _ask(text)


def problems(text, version):
    return _ask(text, version)


def _find_problems(documents, version):
    import kubernetes_validate
    for document in documents:
        name = f"{document['kind']} {document['metadata'].get('name')}"
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{name}: {'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{name}: {error.message}"


def _main(arguments):
    import yaml

    def no_duplicates(loader, node, deep=False):
        keys = [loader.construct_object(key, deep) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, f"duplicate key in {keys}", node.start_mark)
        return loader.construct_mapping(node, deep)

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("tag:yaml.org,2002:map", lambda loader, node: no_duplicates(loader, node, True))
    # To JSON a time is text.
    Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))
    documents = []
    for document in filter(None, yaml.load_all(sys.stdin.read(), Loader)):
        documents += document["items"] if document.get("kind") == "List" else [document]
    json.dump(list(_find_problems(documents, *arguments)) if arguments else documents, sys.stdout)


if __name__ == "__main__":
    _main(sys.argv[1:])
