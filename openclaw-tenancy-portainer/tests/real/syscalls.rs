//! A23 on a real engine: what a process inside asks of the kernel itself, past every program.

use crate::common::plan;
use crate::with_tenant;

/// A call, its number on x86-64 and on ARM64, and its arguments as Perl writes them.
type Call = (&'static str, [i32; 2], &'static str);

/// Calls that must be refused for want of a right. With what is passed here each would otherwise do nothing, or nothing
/// that outlives the process that asks; none is one that only finds its arguments wrong.
const REFUSED: &[Call] = &[
    // Mounts, by the old calls and the new ones.
    ("mount", [165, 40], r#""none", "/tmp", "tmpfs", 0, 0"#),
    ("umount2", [166, 39], r#""/tmp", 0"#),
    ("pivot_root", [155, 41], r#""/tmp", "/tmp""#),
    ("chroot", [161, 51], r#""/tmp""#),
    ("open_tree", [428, 428], r#"-100, "/tmp", 1"#),
    ("move_mount", [429, 429], r#"-100, "/tmp", -100, "/tmp", 0"#),
    ("fsopen", [430, 430], r#""tmpfs", 0"#),
    ("fspick", [433, 433], r#"-100, "/tmp", 0"#),
    // Namespaces.
    ("unshare of users", [272, 97], "0x10000000"),
    ("unshare of mounts", [272, 97], "0x00020000"),
    ("unshare of the network", [272, 97], "0x40000000"),
    ("unshare of process ids", [272, 97], "0x20000000"),
    ("unshare of control groups", [272, 97], "0x02000000"),
    ("setns", [308, 268], "0, 0"),
    // Files of the host, by a handle instead of a path.
    (
        "open_by_handle_at",
        [304, 265],
        r#"-100, "\x08\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0", 0"#,
    ),
    (
        "mknodat of a disk",
        [259, 33],
        r#"-100, "/tmp/disk", 060600, 0x800"#,
    ),
    (
        "mknodat of memory",
        [259, 33],
        r#"-100, "/tmp/mem", 020600, 0x101"#,
    ),
    // Code in the kernel.
    ("init_module", [175, 105], r#""x", 1, """#),
    ("finit_module", [313, 273], r#"0, "", 0"#),
    ("delete_module", [176, 106], r#""none", 0"#),
    ("kexec_load", [246, 104], "0, 0, 0, 0"),
    ("kexec_file_load", [320, 294], r#"0, 0, 1, "", 0"#),
    (
        "bpf",
        [321, 280],
        r#"0, "\x01\0\0\0\x04\0\0\0\x04\0\0\0\x01\0\0\0" . "\0" x 112, 128"#,
    ),
    (
        "perf_event_open",
        [298, 241],
        r#"pack("LLQQ", 1, 112, 0, 0) . "\0" x 88, 0, -1, -1, 0"#,
    ),
    ("userfaultfd", [323, 282], "0"),
    // What processes of every container share.
    ("add_key", [248, 217], r#""user", "x", "x", 1, -3"#),
    ("request_key", [249, 218], r#""user", "x", 0, -3"#),
    ("keyctl", [250, 219], "0, -3, 0, 0, 0"),
    ("syslog", [103, 116], r#"3, "\0" x 64, 64"#),
    ("acct", [163, 89], "0"),
    ("quotactl", [179, 60], "0x800001, 0, 0, 0"),
    // The machine: no magic number of these reboots, and no clock can be set of these two arguments.
    ("reboot", [169, 142], "0, 0, 0, 0"),
    ("swapon", [167, 224], r#""/none", 0"#),
    ("swapoff", [168, 225], r#""/none""#),
    ("settimeofday", [164, 170], r#"0, pack("l2", 0, 0)"#),
    ("clock_settime", [227, 112], r#"1, pack("q2", 1, 0)"#),
    ("sethostname", [170, 161], r#""x", 1"#),
    ("setdomainname", [171, 162], r#""x", 1"#),
    ("vhangup", [153, 58], ""),
    // Other people's packets.
    ("a raw socket", [41, 198], "2, 3, 1"),
    ("a packet socket", [41, 198], "17, 3, 0x300"),
    // Somebody else.
    ("setuid", [105, 146], "0"),
    ("setgid", [106, 144], "0"),
    ("setgroups", [116, 159], r#"1, pack("L", 0)"#),
    (
        "capset",
        [126, 91],
        r#"pack("Ll", 0x20080522, 0), pack("L6", 1 << 21, 1 << 21, 0, 0, 0, 0)"#,
    ),
    ("setpriority", [141, 140], "0, 0, -5"),
];

/// Calls by which the way of asking is seen to tell the answers apart.
const KNOWN: &[(Call, i32)] = &[
    (("getpid", [39, 172], ""), 0),
    (("close of nothing", [3, 57], "-1"), EBADF),
];

const EPERM: i32 = 1;
const EBADF: i32 = 9;
const EACCES: i32 = 13;

#[tokio::test]
async fn a23_the_kernel_refuses_what_leads_out() {
    let column = match std::env::consts::ARCH {
        "x86_64" => 0,
        "aarch64" => 1,
        other => panic!("the numbers of calls on {other} are not known here"),
    };
    with_tenant(|engine, t| async move {
        let id = t.created(plan("free")).await;
        t.start(&id).await.unwrap();
        let calls: Vec<&Call> = REFUSED
            .iter()
            .chain(KNOWN.iter().map(|(call, _)| call))
            .collect();
        // Each in a process of its own, so that what one gets away with changes nothing for the next.
        let program: String = calls
            .iter()
            .map(|(_, numbers, arguments)| format!("ask({}, {arguments});\n", numbers[column]))
            .collect();
        let ran = engine
            .run(&id.0, &format!("perl - <<'EOF'\n{ASK}{program}EOF"))
            .await;
        assert_eq!(ran.code, 0, "{}", ran.output);
        let answers: Vec<i32> = ran
            .output
            .lines()
            .map(|line| line.parse().unwrap())
            .collect();
        assert_eq!(answers.len(), calls.len(), "{}", ran.output);
        let (refused, known) = answers.split_at(REFUSED.len());
        let expected: Vec<i32> = KNOWN.iter().map(|(_, answer)| *answer).collect();
        assert_eq!(known, expected);
        let open: Vec<_> = REFUSED
            .iter()
            .zip(refused)
            .filter(|(_, answer)| !matches!(**answer, EPERM | EACCES))
            .map(|((name, ..), answer)| format!("{name}: {answer}"))
            .collect();
        assert!(open.is_empty(), "not refused, with the error: {open:#?}");
        println!("{} calls, all refused", REFUSED.len());
    })
    .await;
}

/// Prints the error's number of a call, or 0.
const ASK: &str = r#"use strict;
$| = 1;
sub ask {
    my ($number, @arguments) = @_;
    my $child = fork();
    die "fork: $!" unless defined $child;
    if (!$child) {
        $! = 0;
        my $answer = syscall($number, map { my $own = $_; $own } @arguments);
        exit($answer == -1 ? $! + 0 : 0);
    }
    waitpid($child, 0);
    print(($? & 127) ? "-$?\n" : ($? >> 8) . "\n");
}
"#;
