"""The list of bad inputs, by kind."""

from tests.bad_inputs import bad_files, bad_label_maps, bad_settings, bad_two_stage

GROUPS = {
    'configs': bad_settings.CONFIGS,
    'annotations': bad_files.ANNOTATIONS,
    'images': bad_files.IMAGES,
    'label maps': bad_label_maps.LABEL_MAPS,
    'splits': bad_files.SPLITS,
    'shards': bad_files.SHARDS,
    'checkpoints': bad_files.CHECKPOINTS,
    'manifests': bad_files.MANIFESTS,
    'labelling': bad_settings.LABELLING,
    'studies': bad_settings.STUDIES,
    'exports': bad_settings.EXPORTS,
    'VOC boxes': bad_two_stage.VOC,
    'key points': bad_two_stage.KEYPOINTS,
    'two stages': bad_two_stage.MODELS,
    'searches': bad_two_stage.SEARCHES,
}
