"""The card and the graph of the network in two files."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from face128.domain.model_card import RETAIL, ModelCard, retail_card
from face128.engines.retail.graph import to_onnx
from face128.engines.retail.ir import IrError, read_layers
from face128.engines.retail.model_files import BIN_FILE, HOW_TO_GET, SHA256, XML_FILE, read_bounded
from face128.errors import ConfigurationError

log = logging.getLogger(__name__)


def read_model(xml_file: Path, bin_file: Path) -> tuple[ModelCard, bytes]:
    """The card and the ONNX graph of the network in the two files.

    Another network than the known one has a model name of its own, and a warning in the log. Raises
    ConfigurationError, naming the file, for files that are missing, damaged, or of a network with other layers.
    """
    xml, weights = read_bounded(xml_file), read_bounded(bin_file)
    try:
        graph = to_onnx(read_layers(xml), weights)
    except IrError as error:
        raise ConfigurationError(
            f"{xml_file.name} or {bin_file.name} is damaged, or of another network: {error}. {HOW_TO_GET}"
        ) from None
    digest = hashlib.sha256(weights).hexdigest()
    if (hashlib.sha256(xml).hexdigest(), digest) == (SHA256[XML_FILE], SHA256[BIN_FILE]):
        return RETAIL, graph
    name = f"retail-{digest[:8]}"
    log.warning(
        "%s is not the file that face128 knows: its descriptors are of a model of their own, %s.", xml_file.name, name
    )
    return retail_card(name), graph
