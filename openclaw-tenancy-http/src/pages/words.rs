//! The words of the pages: one struct, so that no language can lack one.

use crate::api::lang::Lang;

macro_rules! words {
    ($($name:ident: $en:literal, $zh:literal;)*) => {
        /// What the pages say in one language.
        #[derive(Debug)]
        pub(crate) struct Words {
            $(pub(crate) $name: &'static str,)*
        }

        const EN: Words = Words { $($name: $en,)* };
        const ZH_CN: Words = Words { $($name: $zh,)* };
    };
}

impl Words {
    /// The words of `lang`.
    pub(crate) const fn of(lang: Lang) -> &'static Self {
        match lang {
            Lang::En => &EN,
            Lang::ZhCn => &ZH_CN,
        }
    }
}

words! {
    product: "OpenClaw", "OpenClaw";
    skip_to_content: "Skip to content", "跳到正文";
    menu: "Menu", "菜单";
    account: "Account", "账户";
    administrator: "Administrator", "管理员";
    appearance: "Appearance", "外观";
    theme_auto: "Auto", "自动";
    theme_light: "Light", "浅色";
    theme_dark: "Dark", "深色";
    sign_out: "Sign out", "退出登录";
    sign_out_everywhere: "Sign out everywhere", "在所有设备上退出";
    needs_javascript: "This page needs JavaScript.", "此页面需要 JavaScript。";

    sign_in: "Sign in", "登录";
    sign_in_title: "Your own OpenClaw", "属于您的 OpenClaw";
    sign_in_lede: "Sign in to create it, or to open it again.", "登录后即可创建，或再次打开。";
    sign_in_with: "Continue with", "使用以下方式继续：";
    or: "or", "或";
    username: "Name", "用户名";
    password: "Password", "密码";
    no_sign_in: "No way to sign in is configured. Ask the operator.", "尚未配置登录方式，请联系运维人员。";
    claim_note: "Whoever signs in now becomes the administrator.", "现在登录的人将成为管理员。";
    signed_in: "You are signed in", "您已登录";
    opening_instance: "Your OpenClaw is opening.", "正在打开您的 OpenClaw。";
    continue_: "Continue", "继续";

    full_stop: ".", "。";
    space: " ", "";
    colon: ": ", "：";
    to_start: "To the start page", "返回首页";
    request_id: "Request", "请求编号";

    create_title: "Create your OpenClaw", "创建您的 OpenClaw";
    create_lede: "It runs in a container of its own, and nobody else can open it.", "它运行在独立的容器中，只有您能打开。";
    choose_plan: "Choose a plan", "选择套餐";
    plan_hint: "Storage is not enforced yet, and sandboxes are not available yet.", "存储限额暂未强制，沙箱暂未提供。";
    memory: "Memory", "内存";
    storage: "Storage", "存储";
    sandboxes: "Sandboxes", "沙箱";
    unlimited: "Unlimited", "不限";
    ask_administrator: "Ask an administrator", "请联系管理员";
    name: "Name", "名称";
    optional: "optional", "选填";
    name_placeholder: "a random one", "随机生成";
    name_hint: "Its address. Lower-case letters, digits and hyphens; it cannot be changed later.", "即访问地址。可用小写字母、数字和连字符，之后不能更改。";
    create: "Create", "创建";

    open: "Open", "打开";
    resume: "Resume", "恢复运行";
    restart: "Restart", "重启";
    try_again: "Try again now", "立即重试";
    suspend: "Suspend", "暂停";
    delete: "Delete", "删除";
    delete_title: "Delete your OpenClaw?", "删除您的 OpenClaw？";
    delete_warning: "Its container and everything stored in it are removed: conversations, settings, files. This cannot be undone.", "容器及其中的所有内容都将被移除，包括对话、设置和文件。此操作无法撤销。";
    delete_confirm: "Delete everything", "全部删除";
    cancel: "Cancel", "取消";
    plan: "Plan", "套餐";
    created: "Created", "创建于";
    not_enforced: "not enforced yet", "暂未强制";
    not_there_yet: "not available yet", "暂未提供";
    next_try: "Next try", "下次尝试";

    step_place: "Find a place", "分配主机";
    step_prepare: "Prepare", "准备";
    step_start: "Start OpenClaw", "启动 OpenClaw";
    step_ready: "Ready", "就绪";

    queued: "Waiting", "等待中";
    queued_title: "Waiting for a place", "正在等待主机";
    queued_text: "It starts by itself as soon as a host has room.", "一旦有主机空出，它会自动启动。";
    queued_before: "Waiting before you:", "您前面还有：";
    provisioning: "Preparing", "准备中";
    provisioning_title: "Preparing your OpenClaw", "正在准备您的 OpenClaw";
    provisioning_text: "Its container, its disk and its network are being made.", "正在创建容器、磁盘和网络。";
    starting: "Starting", "启动中";
    starting_title: "Starting OpenClaw", "正在启动 OpenClaw";
    starting_text: "This takes about a minute, with the smallest plan two.", "大约需要一分钟，最小的套餐需要两分钟。";
    running: "Running", "运行中";
    running_title: "Your OpenClaw is ready", "您的 OpenClaw 已就绪";
    running_text: "Open it in a new tab; you are signed in there already.", "在新标签页中打开，无需再次登录。";
    running_killed_text: "It runs. A process in it needed more memory than the {memory} of its plan leaves, and was ended; a larger plan avoids that.", "实例正在运行，但其中一个进程因内存不足（套餐上限 {memory}）被终止；升级到更大的套餐可以避免。";
    stopping: "Stopping", "正在停止";
    stopping_title: "Stopping", "正在停止";
    stopping_text: "OpenClaw gets a moment to save its work.", "OpenClaw 有片刻时间保存数据。";
    suspended: "Suspended", "已暂停";
    suspended_title: "Suspended", "已暂停";
    suspended_text: "It uses no CPU and no memory. Everything in it is kept.", "不占用 CPU 和内存，所有内容均已保留。";
    deleting: "Deleting", "删除中";
    deleting_title: "Deleting", "正在删除";
    deleting_text: "Everything of it is being removed.", "正在移除所有内容。";
    deleting_again_text: "It has not succeeded yet, and is tried again by itself.", "尚未成功，系统会自动重试。";
    failed: "Failed", "失败";
    failed_again: "It is tried again by itself.", "系统会自动重试。";
    failed_attempts: "Failed attempts in a row:", "连续失败次数：";
    failed_before: "The attempt before failed:", "上一次尝试失败：";
    detail: "Technical detail", "技术详情（英文原文）";
    ended_by: "As an administrator, you end it by this call", "您是管理员，可通过此调用解除";

    engine_title: "Its host reported an error", "所在主机报告了错误";
    engine_text: "The container engine there could not do what was asked of it.", "主机上的容器引擎未能完成所需的操作。";
    image_title: "Its image is not available", "无法获取镜像";
    image_text: "Its host cannot get the image that OpenClaw runs from. If that goes on, tell an administrator.", "主机无法获取运行 OpenClaw 所需的镜像。如果持续如此，请联系管理员。";
    capacity_title: "Its host is full", "所在主机空间不足";
    capacity_text: "A disk or a range of addresses there is used up. If that goes on, tell an administrator.", "主机的磁盘或地址段已用尽。如果持续如此，请联系管理员。";
    storage_title: "Its storage is not as it should be", "存储卷不符合要求";
    storage_text: "A volume of its name has other options than asked for. Nothing in it was changed; an administrator has to look at it.", "同名存储卷的选项与要求不一致。其中的内容未被改动，需要管理员查看。";
    out_of_memory_title: "It ran out of memory", "内存不足";
    out_of_memory_text: "It needed more than the {memory} of its plan; a larger plan avoids it.", "所需内存超出了套餐的 {memory}，更大的套餐可以避免此问题。";
    crashed_title: "OpenClaw ended by itself", "OpenClaw 自行退出";
    crashed_text: "Nobody had asked it to stop.", "并没有人要求它停止。";
    start_timeout_title: "It did not become ready in time", "未能及时就绪";
    start_timeout_text: "OpenClaw was started, and did not report that it is ready.", "OpenClaw 已启动，但没有报告就绪。";
    configuration_title: "OpenClaw does not accept its configuration", "OpenClaw 不接受当前配置";
    configuration_text: "It ended at once because of it.", "因此它立即退出了。";

    host_lost: "Host unreachable", "主机无响应";
    host_lost_title: "Its host does not answer", "所在主机没有响应";
    host_lost_text: "Nothing of it is lost or moved because of that. It goes on when the host answers.", "不会因此丢失或迁移任何内容，主机恢复后将继续。";

    held: "Needs attention", "需要处理";
    ghost_title: "An earlier process may still be running", "先前的进程可能仍在运行";
    ghost_text: "Nothing is started until an administrator has made sure that it is gone: two at once could damage your data.", "在管理员确认该进程已结束之前不会启动任何内容：两个进程同时运行可能损坏您的数据。";
    quarantine_title: "Its host is set apart", "所在主机已被隔离";
    quarantine_text: "It is not surely the machine that it was. Nothing on it is touched until an administrator has looked at it.", "无法确认它仍是原来的机器。在管理员查看之前，不会改动其中的任何内容。";
    conflict_title: "Something stands in its place", "位置已被占用";
    conflict_text: "On its host, something has its name and is not what it should be. It is left as it is until an administrator has looked at it.", "主机上存在与它同名但不符合要求的内容。在管理员查看之前，将保持原样。";
    held_configuration_text: "Change the configuration, then try again.", "请修改配置，然后重试。";
}
