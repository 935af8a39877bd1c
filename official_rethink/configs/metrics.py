"""Names of the metrics that evaluations report, for configs that choose a best checkpoint by one."""


def coco_metric_names(max_detections: int = 100) -> list[str]:
    """COCO's twelve numbers under Model Garden's names."""
    precisions = ['AP', 'AP50', 'AP75', 'APs', 'APm', 'APl']
    return precisions + ['ARmax1', 'ARmax10', f'ARmax{max_detections}', 'ARs', 'ARm', 'ARl']


def keypoint_metric_names() -> list[str]:
    """COCO's ten numbers of key points; 20 detections an image count, and there are no small objects."""
    ends = ['', '50', '75', 'm', 'l']
    return [f'keypoint_{kind}{end}' for kind in ('AP', 'AR') for end in ends]


VOC = {'voc07': 'VOC07_mAP', 'voc12': 'VOC12_mAP'}
"""The mean AP of each protocol of PASCAL VOC, a share of 1."""
PROTOCOLS = ('coco', *VOC)


# The running means that DetectionTask reports beside COCO's numbers.
LOSSES = ('total_loss', 'cls_loss', 'box_loss', 'model_loss')
