"""Words of the noising tab: (Chinese, English)."""

NOISING = {
    "noising.title": ("一张图是怎么变成纯噪声的？", "How does a picture turn into pure noise?"),
    "noising.lead": (
        "每一步只掺进一点点高斯噪声；把所有步合起来，就是“缩小原图、加上一份噪声”的一次混合。拖动 $t$，看这两个系数怎么此消彼长。",
        "Each step mixes in a little Gaussian noise; all of them together are one mixture of a fainter picture and one draw of noise. "
        "Move $t$ and watch the two coefficients trade places.",
    ),
    "noising.t": ("时间步 t", "Step t"),
    "noising.t_info": ("从 0 数起；笔记里的 t 等于这里的 t + 1", "counted from 0; the notes' t is this t + 1"),
    "noising.view": ("图片按什么读入", "Read the picture as"),
    "noising.schedule": ("噪声调度", "Noise schedule"),
    "noising.T": ("总步数 T", "Number of steps T"),
    "noising.T.1000": ("1000 步", "1000"),
    "noising.T.200": ("200 步", "200"),
    "noising.T.50": ("50 步", "50"),
    "noising.beta_1": ("起点 $\\beta_1$（第一步的方差）", "First variance $\\beta_1$"),
    "noising.beta_T": ("终点 $\\beta_T$（最后一步的方差）", "Last variance $\\beta_T$"),
    "noising.ends_not_reached": (
        "S 形调度只取 sigmoid 从 −6 到 6 的一段，所以到不了设定的两端：设的是 {first} 到 {last}，实际走过的是 {reached_first} 到 {reached_last}。",
        "The sigmoid schedule takes the sigmoid from −6 to 6 only and stays short of both ends: set are {first} to {last}, "
        "reached are {reached_first} to {reached_last}.",
    ),
    "noising.seed": ("噪声的随机种子", "Seed of the noise"),
    "noising.play": ("播放：t 从头走到尾", "Play: run t to the end"),
    "noising.pause": ("暂停", "Pause"),
    "noising.clip_note": (
        "显示时 −1 为黑、1 为白，超出的部分被截断；参与计算的数没有截断。",
        "On the screen −1 is black and 1 is white, and what lies outside is clipped; the numbers computed with are not.",
    ),
    "noising.view.gray_28": ("28 × 28 灰度（自带模型的尺寸）", "28 × 28 gray (the bundled model's size)"),
    "noising.view.gray_64": ("64 × 64 灰度", "64 × 64 gray"),
    "noising.view.gray_256": ("256 × 256 灰度", "256 × 256 gray"),
    "noising.view.colour_64": ("64 × 64 彩色", "64 × 64 colour"),
    "noising.view.colour_128": ("128 × 128 彩色", "128 × 128 colour"),
    "noising.view.colour_256": ("256 × 256 彩色", "256 × 256 colour"),
    "noising.schedule.linear": ("线性（DDPM 原文）", "linear (the DDPM paper)"),
    "noising.schedule.cosine": ("余弦", "cosine"),
    "noising.schedule.sigmoid": ("S 形（sigmoid）", "sigmoid"),
    "noising.schedule.scaled_linear": ("缩放线性", "scaled linear"),
    "noising.schedule.laplace": ("拉普拉斯", "Laplace"),
    "path.strip": ("同一份噪声，从头到尾", "The same noise, from first step to last"),
    "path.signal": ("原图与噪声各占多少", "How much is picture, how much is noise"),
    "path.snr": ("信噪比", "Signal-to-noise ratio"),
    "path.beta": ("每一步新加的方差", "Variance added by each step"),
    "path.not_noise": (
        "注意：T = {T} 时终点的 $\\bar\\alpha_T$ = {value}，图像还没有被噪声淹没；而采样是从纯噪声开始的，起点就错了。要么增加步数，要么加大 β。",
        "Mind: with T = {T} the path ends at $\\bar\\alpha_T$ = {value}, so the picture still shows. Sampling starts from pure noise "
        "and would start in the "
        "wrong place. Use more steps, or larger β.",
    ),
    "routes.title": ("一步一步走，和一次跳到位，结果一样吗？", "Do many small steps and one jump end in the same place?"),
    "routes.lead": (
        "单步公式 $q(\\mathbf x_t\\mid\\mathbf x_{t-1})$ 一步步复合起来，理论上正好是一次到位的 $q(\\mathbf x_t\\mid\\mathbf x_0)$。"
        "这里两条路各走 64 遍，"
        "比较走到终点时的均值和方差，并给出误差棒。",
        "In theory the single steps $q(\\mathbf x_t\\mid\\mathbf x_{t-1})$ compose to exactly the one jump $q(\\mathbf x_t\\mid\\mathbf x_0)$. "
        "Here each way is taken 64 times, and the means and variances they arrive at are compared, with error bars.",
    ),
    "routes.measure": ("用当前的图片和 t 再测一次", "Measure again for this picture and t"),
    "routes.agree": (
        "走到 t = {t}（{steps} 个单步）：两条路一致。{count} 个差值里最大的是 {z} 倍标准误，属于正常的随机波动。",
        "At t = {t} ({steps} single steps) the two ways agree: the largest of {count} differences is {z} standard errors, which is "
        "what chance gives.",
    ),
    "routes.differ": (
        "走到 t = {t}（{steps} 个单步）：{count} 个差值里最大的达到 {z} 倍标准误，随机波动很难解释。换个种子再测一次看看。",
        "At t = {t} ({steps} single steps) the largest of {count} differences is {z} standard errors, more than chance explains. Try another seed.",
    ),
    "routes.quantity": ("量", "quantity"),
    "routes.theory": ("公式值", "formula"),
    "routes.steps": ("{steps} 个单步", "{steps} single steps"),
    "routes.jump": ("一次跳到", "one jump"),
    "routes.difference": ("两者之差 ± 标准误", "difference ± standard error"),
    "routes.bar": ("差值 ± 2 标准误", "difference ± 2 standard errors"),
    "routes.mean": ("全图均值", "mean over the picture"),
    "routes.signal": ("原图保留的比例", "share of the picture kept"),
    "routes.variance": ("每个像素的方差", "variance of a pixel"),
    "routes.coupled": (
        "如果一次跳跃用的正是那些单步噪声合成的噪声，两条路应该逐像素相同：实测最大差 {error}，只是 float32 的舍入误差。",
        "When the jump uses the very noise that the single steps add up to, both ways must agree pixel by pixel: the largest "
        "difference is {error}, "
        "the rounding of float32.",
    ),
    "routes.part": ("图较大，只取其中 {pixels} / {total} 个值参与比较。", "The picture is large: {pixels} of its {total} values took part."),
    "routes.how": (
        "每条路独立重复 {draws} 次；标准误来自这 {draws} 次之间的离散程度，z 是差值除以它的标准误。",
        "Each way was taken {draws} times independently; the standard error comes from the spread of those {draws}, and z is a "
        "difference divided by it.",
    ),
}
