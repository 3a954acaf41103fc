"""Words of the page's frame, and of what the tabs share: (Chinese, English)."""

PAGE = {
    "header.page_title": ("DDPM 拆开看：加噪、采样、损失", "DDPM, opened up: noising, sampling, loss"),
    "header.title": ("DDPM 拆开看", "DDPM, opened up"),
    "header.lead": (
        "把一张图加噪成纯噪声，看模型从噪声一步步画回来，再把损失逐项拆开。页面上每张图、每个数都是当场算出来的。",
        "Turn a picture into noise, watch a model draw one back step by step, and take its loss apart. "
        "Every picture and number here is computed for what you see.",
    ),
    "header.language": ("语言", "Language"),
    "header.link": ("复制链接", "Copy link"),
    "header.link_info": (
        "链接里有语言、打开的页签和所有设置；别人打开后看到的就是你现在看到的",
        "The link holds the language, the open tab and every setting: whoever opens it sees what you see",
    ),
    "header.link_copied": ("已复制", "Copied"),
    "header.link_by_hand": ("请手动复制这个链接：", "Copy this link by hand:"),
    "contents.heading": ("这一页回答的问题", "Questions this tab answers"),
    "tab.noising": ("加噪", "Noising"),
    "tab.sampling": ("采样", "Sampling"),
    "tab.loss": ("损失", "Loss"),
    "picker.label": ("选一张图", "Choose a picture"),
    "picker.digit": ("数字 {digit}", "Digit {digit}"),
    "picker.coat": ("外套（不是数字）", "Coat (not a digit)"),
    "picker.sneaker": ("运动鞋（不是数字）", "Sneaker (not a digit)"),
    "picker.upload": ("上传自己的图片", "Upload your own"),
    "picker.stays": (
        "自己的图片只留在你的浏览器里，提问时随问题发给计算程序，服务器不保存；链接也带不走它，别人打开你的链接会看到示例图。",
        "Your own picture stays in your browser: it is sent with each question, stored nowhere, and a link cannot carry it. "
        "Whoever opens your link sees an example.",
    ),
    "picker.camera": ("拍一张", "Use the camera"),
    "picker.shoot": ("就用这一帧", "Take this frame"),
    "picker.close": ("关闭", "Close"),
    "picker.draw": ("画一张", "Draw"),
    "picker.draw_here": ("画板：用鼠标、触控笔或手指画", "Drawing board: draw with mouse, pen or finger"),
    "picker.draw_note": (
        "每画完一笔，图就换成你画的。不方便用鼠标的话，可以用上面的示例或上传图片，它们都能用键盘操作。",
        "After each stroke the page works with your drawing. Without a pointer, use an example or an upload: both work from the keyboard.",
    ),
    "picker.pen": ("笔的粗细", "Width of the pen"),
    "picker.pen_fine": ("细", "fine"),
    "picker.pen_middle": ("中", "middle"),
    "picker.pen_broad": ("粗", "broad"),
    "picker.clear": ("清空", "Clear"),
    "tile.xt": ("加噪后的图", "noised image"),
    "tile.x0": ("原图", "clean image"),
    "tile.eps": ("高斯噪声", "Gaussian noise"),
    "axis.t": ("时间步 t", "step t"),
    "axis.coefficient": ("系数", "coefficient"),
    "axis.snr": ("信噪比", "signal-to-noise ratio"),
    "axis.beta": ("单步方差", "variance of one step"),
    "axis.mse": ("均方误差", "mean squared error"),
    "axis.bits_term": ("每项 (bits/dim)", "bits/dim of the term"),
    "axis.bits_sum": ("累计 (bits/dim)", "bits/dim so far"),
    "unit.bits": ("bits/dim", "bits/dim"),
    "control.another_seed": ("换一个", "Another"),
    "card.heading": ("公式、代码与检验（{count}）", "Formulas, code and checks ({count})"),
    "card.code": ("计算它的函数", "The function that computes it"),
    "card.check": ("现在检验", "Check it now"),
    "card.checking": ("正在检验……", "Checking…"),
    "card.passed": (
        "通过（种子 {seed}）：相差最大处 {left} 对 {right}，差 {difference}，允许 {tolerance}。",
        "Passed (seed {seed}): where they differ most, {left} against {right}; difference {difference}, allowed {tolerance}.",
    ),
    "card.failed": (
        "没有通过（种子 {seed}）：{left} 对 {right}，差 {difference}，超过了允许的 {tolerance}。",
        "Failed (seed {seed}): {left} against {right}; difference {difference}, more than the {tolerance} allowed.",
    ),
    "formula.scrolls": ("公式，可以左右滚动", "formula, scrolls sideways"),
    "cloud.play": ("播放", "Play"),
    "cloud.pause": ("暂停", "Pause"),
    "cloud.scrub": ("回看每一帧", "Go through the frames"),
    "wait.turn": (
        "正在等待：模型还在加载，或者轮到你之前还有别人的任务……",
        "Waiting: the model is still loading, or another visitor's run comes first…",
    ),
    "variance.fixed_small": ("较小：后验方差 β̃ₜ", "small: the posterior's β̃ₜ"),
    "variance.fixed_large": ("较大：单步方差 βₜ", "large: the single step's βₜ"),
    "model.loading": ("模型正在加载，通常只要几秒。", "The model is loading; this takes a few seconds."),
    "model.line": (
        "模型：{source}，{myriads} 万参数，{size} × {size} 像素，{channels} 通道；训练时的噪声调度：{schedule}，T = {T}。",
        "Model: {source}, {millions} million parameters, {size} × {size} pixels, {channels} channel(s); noise schedule in training: "
        "{schedule}, T = {T}.",
    ),
    "model.epsilon": (
        "网络直接预测噪声 $\\boldsymbol\\epsilon_\\theta$；$\\hat{\\mathbf x}_0$ 由它换算得到。",
        "The network predicts the noise $\\boldsymbol\\epsilon_\\theta$; $\\hat{\\mathbf x}_0$ is converted from it.",
    ),
    "model.v_prediction": (
        "网络预测的是速度 $\\mathbf v$，页面上的 $\\boldsymbol\\epsilon_\\theta$ 和 $\\hat{\\mathbf x}_0$ 都由 $\\mathbf v$ 精确换算得到。",
        "The network predicts the velocity $\\mathbf v$; $\\boldsymbol\\epsilon_\\theta$ and $\\hat{\\mathbf x}_0$ on this page are "
        "converted from it exactly.",
    ),
    "model.sample": (
        "网络直接预测原图 $\\hat{\\mathbf x}_0$；$\\boldsymbol\\epsilon_\\theta$ 由它换算得到。",
        "The network predicts the clean image $\\hat{\\mathbf x}_0$; $\\boldsymbol\\epsilon_\\theta$ is converted from it.",
    ),
    "model.learned_variance": (
        "这个网络还会预测方差，这里没有用到。",
        "This network also predicts a variance, which is not used here.",
    ),
}
