"""Names of the backbones that compute what their publishers' own code does; see docs/checkpoints.md."""

# `backbone.resnet.stem_type`: whose ResNet-50 it is. Model Garden's own 'v0' pads asymmetrically.
RESNET_STEMS = ('simclr', 'torch', 'keras')

# `backbone.spinenet.model_id`: as tensorflow/tpu's detection code builds it, to Model Garden's scaling.
RELEASE_SPINENETS = {'143-release': '143', '190-release': '190', '49-release': '49', '96-release': '96'}
