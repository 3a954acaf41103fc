"""Sentences for what can go wrong: (Chinese, English). The English of the library's own errors is the library's, so that both always say the same."""

from ddpm_space.images import IMAGE_ERRORS
from ddpm_space.pipeline_folder import MODEL_ERRORS
from ddpm_space.sampling import SETTINGS_ERRORS
from ddpm_space.ui.asked import ASKED_ERRORS
from ddpm_space.ui.forms import FORM_ERRORS
from ddpm_space.ui.gpu import GPU_ERRORS

CHINESE = {
    "error.gpu.quota": "你的 GPU 额度暂时用完了：登录 Hugging Face 账号可以得到更多额度，也可以过些时候再来。（{reason}）",
    "error.gpu.busy": "没有空闲的 GPU：请稍后再试。（{reason}）",
    "error.gpu.ended": "GPU 上的运行中止了：请再试一次，或减少图片张数、步数。（{reason}）",
    "error.gpu.time": "GPU 的使用时间到了（{seconds} 秒）：请减少图片张数或步数。",
    "error.image.missing": "还没有图片：请选一张，或上传一张。",
    "error.image.not_found": "找不到文件 {path}：请检查路径，或重新上传。",
    "error.image.not_an_image": "“{name}”不是能读取的图片：请用 PNG、JPEG、GIF、WebP、BMP、TIFF 或 AVIF 文件。",
    "error.image.too_many_pixels": "图片有 {pixels} 个像素，最多接受 {max_pixels} 个。请缩小后再试。",
    "error.image.damaged": "“{name}”已损坏或不完整（{reason}）：请重新保存或重新下载。",
    "error.image.not_finite": "图片含有 NaN 或无穷大（{total} 个值中有 {count} 个）：每个值都必须是有限的数。",
    "error.image.sample_not_finite": "生成的图片含有 NaN 或无穷大（{total} 个值中有 {count} 个）：模型有问题，请换一个。",
    "error.image.range": "图片的取值从 {low} 到 {high}：这种格式的值必须在 {lowest} 到 {highest} 之间。",
    "error.image.array": "形状为 {shape}、类型为 {dtype} 的数组不是图片：请用 (H, W)、(H, W, 3) 或 (H, W, 4) 的 uint8、uint16 或浮点数组。",
    "error.model.unknown_bundled": "没有名为“{name}”的自带模型：可用的是 {known}。",
    "error.model.not_found": "没有文件夹“{source}”，它也不像 user/model 这样的 Hub 名称：请检查拼写。",
    "error.model.not_a_pipeline": "“{source}”不是 diffusers 的 pipeline 文件夹：缺少 {missing}。请给出训练程序写出的那个文件夹。",
    "error.model.remote_code": "“{source}”要求运行它自带的代码（{found}），这里一律不运行：请用 diffusers 自己的类保存的 pipeline。",
    "error.model.architecture": "“{source}”里是 {found}；这里只能用含 UNet2DModel 的 pipeline，例如 DDPMPipeline。",
    "error.model.class_conditional": "“{source}”需要类别标签：这里只能用无条件模型。",
    "error.model.channels": "“{source}”有 {found} 个通道：这里只能显示灰度（1）或 RGB（3）图像。",
    "error.model.outputs": "“{source}”接收 {inputs} 个通道，返回 {outputs} 个：返回的必须与接收的一样多；若学习了方差，则是两倍。",
    "error.model.size": "“{source}”的 sample_size 是 {found}：这里只能用写明了边长的正方形图像。",
    "error.model.no_safetensors": "“{source}”的权重只有 pickle 文件（{file}），它能执行任意代码：请另存为 safetensors。",
    "error.model.no_weights": "“{source}”没有权重：缺少 {missing}。",
    "error.model.damaged": "“{source}”的 {file} 已损坏或不完整（{reason}）：请重新复制或下载。",
    "error.model.weights_mismatch": "“{source}”的权重与它的 config.json 对不上（{reason}）：两者必须出自同一次训练。",
    "error.model.not_finite": "“{source}”的权重含有 NaN 或无穷大（在 {name} 中）：训练发散了，或文件已损坏。",
    "error.model.scheduler": "“{source}”的调度器不能用：{reason}。",
    "error.model.does_not_run": "“{source}”的网络在它自己尺寸的图像上运行失败：{reason}。",
    "error.model.device": "这里无法使用设备“{device}”（{reason}）：请用 cpu；PyTorch 能识别到 GPU 时可用 cuda。",
    "error.model.hub_missing": "从这里看不到 Hub 上的“{repo}”：请检查名称；若是私有仓库，请把 HF_TOKEN 设为有权读取它的令牌。",
    "error.model.revision": "“{repo}”没有“{revision}”这个版本：可用的是 {known}，或某个提交的哈希值。",
    "error.model.gated": "“{repo}”是受限仓库：请先在 {url} 申请访问，再把 HF_TOKEN 设为该账号的令牌。",
    "error.model.token": "Hub 拒绝了读取“{repo}”的令牌（{reason}）：请更正 HF_TOKEN 或重新登录；公开的模型不需要令牌。",
    "error.model.offline": "“{repo}”不在本机，也没能从 Hub 取到（{reason}）：请检查网络，或改用本地文件夹。",
    "error.model.old_copy": "没能从 Hub 取到“{repo}”（{reason}）：现在用的是本机上的副本，提交为 {commit}。",
    "error.model.checksum": "“{repo}”的 {file} 两次下载都已损坏（与 Hub 所列的不符）：请稍后再试，或换一个网络。",
    "error.model.cache": "“{repo}”无法存入 {folder}（{reason}）：请在那里腾出空间或取得权限，或把 HF_HOME 设为别的文件夹。",
    "error.model.too_large": "“{repo}”需要下载 {megabytes} MB，最多接受 {limit} MB。",
    "error.settings.num_images": "图片数量不能是 {value}：请填 1 到 {highest} 的整数。",
    "error.settings.num_steps": "步数不能是 {value}：请填 1 到 {highest} 的整数，{highest} 是模型自己的步数。",
    "error.settings.spacing": "没有“{value}”这种步的间隔方式：可用的是 {known}。",
    "error.settings.variance_type": "没有“{value}”这种方差：可用的是 {known}。",
    "error.settings.no_table": "“{value}”要用到最优方差表，而这个模型没有附带：请用 training/posterior_variance.py 估计一次。",
    "error.settings.uneven": "diffusers 的 DDIM 不能把 {T} 步的链走成 {value} 步：请用能整除 {T} 的步数。",
    "error.settings.seed": "种子不能是 {value}：请填 0 到 {highest} 的整数。",
    "error.form.number": "{name}不能是 {value}：请填 {lowest} 到 {highest} 的数。",
    "error.ask.points": "{name}：需要 {lowest} 到 {highest} 个点，每个点是两个有限的数；收到的是 {value}。",
    "error.ask.malformed": "页面与服务器对不上了：请刷新页面。",
    "error.form.whole_number": "{name}不能是 {value}：请填 {lowest} 到 {highest} 的整数。",
    "error.form.timesteps": "“{value}”不是时间步的列表：请填 0 到 {highest} 的整数，用逗号隔开。",
    "error.form.too_many": "一次给了 {count} 个时间步，最多 {highest} 个。",
    "error.form.choice": "{name}没有“{value}”这个选项：可用的是 {known}。",
}

FIELDS = {
    "field.seed": ("种子", "Seed"),
    "field.images": ("图片数量", "Number of images"),
    "field.steps": ("步数", "Steps"),
}

LIBRARY_ENGLISH = {**IMAGE_ERRORS, **MODEL_ERRORS, **SETTINGS_ERRORS, **FORM_ERRORS, **ASKED_ERRORS, **GPU_ERRORS}

ERRORS = {
    **{key: (CHINESE[key], english) for key, english in LIBRARY_ENGLISH.items()},
    **FIELDS,
    "error.empty": ("空", "empty"),
    "error.file_size": (
        "“{name}”有 {megabytes} MB，最多接受 {limit} MB。请缩小后再试。",
        "'{name}' has {megabytes} MB; at most {limit} MB are accepted. Make it smaller and try again.",
    ),
    "error.camera.refused": (
        "浏览器没有允许使用摄像头：请在地址栏旁边放行，或者改用示例、上传、手画。",
        "The browser was not allowed to use the camera: permit it beside the address, or use an example, an upload or a drawing.",
    ),
    "error.camera.absent": (
        "没有可用的摄像头（非 https 页面上浏览器也不提供）：请改用示例、上传或手画。",
        "No camera is available (browsers also withhold it from pages without https): use an example, an upload or a drawing.",
    ),
    "error.busy": (
        "现在用的人太多，没能轮到：请过一会儿再试。",
        "Too many visitors at this moment: try again in a little while.",
    ),
    "error.film.forgotten": (
        "服务器已经不再保存这次采样的过程了：请重新采样一次（种子不变，得到的就是同样的图）。",
        "The server no longer keeps the steps of this run: sample once more; the same seed gives the same images.",
    ),
    "error.connection": (
        "没有联系上服务器：请检查网络，再试一次。",
        "The server did not answer: check the connection and try again.",
    ),
    "error.unexpected": (
        "出了意料之外的问题，已记入服务器日志。换个设置再试一次，或刷新页面。",
        "Something unexpected went wrong and was written to the server's log. Try other settings, or reload the page.",
    ),
}
