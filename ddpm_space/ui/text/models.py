"""Words of the model chooser, and of what a visitor's model may not be: (Chinese, English)."""

from ddpm_space.ui.visitor_models import VISITOR_ERRORS

CHINESE = {
    "error.visitor.off": "这个页面只用自己的模型，不能加载“{source}”。",
    "error.visitor.name": "“{source}”不是 Hub 上模型的名称：请写成 user/model，或 user/model@revision。",
    "error.visitor.missing": "Hub 上没有公开的模型“{source}”：请检查名称。这里不能用私有或受限的模型。",
    "error.visitor.too_large": "“{source}”的权重有 {megabytes} MB，这个页面最多接受 {limit} MB。",
    "error.visitor.side": "“{source}”的图像宽 {found} 像素，这个页面最多接受 {limit} 像素。",
    "error.visitor.config": "“{source}”的网络对这个页面来说太大：最多 {layers} 级、每级 {layers} 层，训练链最多 {steps} 步。",
    "error.visitor.unreached": "没能从 Hub 取到“{source}”（{reason}）：请稍后再试，或用自带模型。",
    "error.visitor.loading": "“{source}”还在下载：请过一会儿再试。",
    "error.visitor.busy": "正在下载别的访客的模型：请过一会儿再试。",
}

MODELS = {
    "models.label": ("用哪个模型", "Which model draws"),
    "models.bundled.mnist": ("自带：MNIST 手写数字", "bundled: MNIST digits"),
    "models.bundled.fashion_mnist": ("自带：Fashion-MNIST 服饰", "bundled: Fashion-MNIST clothes"),
    "models.hub": ("Hub 上的模型……", "a model on the Hub…"),
    "models.name": ("Hub 上的名称，可带版本", "Its name on the Hub, with a revision if you like"),
    "models.load": ("加载", "Load"),
    "models.limits": (
        "只接受公开的、safetensors 格式的无条件 UNet2DModel，权重不超过 {megabytes} MB，图像不超过 {side} × {side} 像素。",
        "Public unconditional UNet2DModel pipelines in safetensors only: at most {megabytes} MB of weights and {side} × {side} pixels.",
    ),
    "models.off": ("这个页面没有开放 Hub 上的其他模型。", "Models on the Hub are switched off on this page."),
    **{key: (CHINESE[key], english) for key, english in VISITOR_ERRORS.items()},
}
