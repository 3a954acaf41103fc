"""Why something failed: (Chinese, English). The English is the library's, so that both always say the same."""

from ddpm_space.reasons import REASONS

CHINESE = {
    "reason.unknown": "原因不明",
    "reason.cut_short": "文件没有写完整",
    "reason.not_that_format": "内容不是这种格式",
    "reason.not_json": "第 {line} 行起不是合法的 JSON",
    "reason.not_an_object": "内容不是 JSON 对象",
    "reason.not_text": "内容不是 UTF-8 文本",
    "reason.no_weight_map": "缺少 weight_map",
    "reason.names_file": "其中列出的 {file} 不是按编号分片的权重文件",
    "reason.no_permission": "没有在那里读写的权限",
    "reason.disk_full": "磁盘已满",
    "reason.file_gone": "文件不在那里",
    "reason.no_answer": "{seconds} 秒内没有回应",
    "reason.timed_out": "连接超时",
    "reason.refused": "连接被拒绝",
    "reason.dropped": "连接中断",
    "reason.host_unknown": "域名无法解析",
    "reason.certificate": "对方的证书不受信任",
    "reason.offline_mode": "HF_HUB_OFFLINE 禁止联网",
    "reason.status_401": "Hub 不认识这个令牌，401",
    "reason.status_403": "这个令牌无权读取，403",
    "reason.status_404": "Hub 上没有，404",
    "reason.status_429": "对 Hub 的请求过于频繁，429",
    "reason.status_5xx": "Hub 的服务器出错，{status}",
    "reason.token_character": "其中有令牌里不会出现的字符，请重新复制",
    "reason.wrong_shapes": "尺寸或形状对不上",
    "reason.weight_missing": "缺少 {name}，这样的共 {count} 个",
    "reason.weight_left_over": "多出 {name}，这样的共 {count} 个",
    "reason.no_network": "按它的 config.json 搭不出网络",
    "reason.no_memory": "内存不够",
    "reason.platform": "由平台报告",
    "reason.not_ddpm": "{found} 不属于 DDPM 一类的调度器",
    "reason.scheduler_value": "配置里有不能用的值",
    "reason.output_shape": "输出的形状是 {found}，而应为 {expected}",
    "reason.output_not_finite": "输出含有 NaN 或无穷大",
}

REASON_TEXTS = {
    **{key: (CHINESE[key], english) for key, english in REASONS.items()},
    "error.detail": ("技术细节（程序库的原话）：", "Technical detail (the library's own words):"),
}
