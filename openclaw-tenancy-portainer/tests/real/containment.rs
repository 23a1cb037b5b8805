//! A23 on a real engine: what a process inside tries, and does not get.

use serde_json::{Value, json};

use crate::common::plan;
use crate::with_tenant;

/// Commands that must not succeed: each is a way out, or the beginning of one.
const REFUSED: &[&str] = &[
    // The root file system and what lies outside the two volumes.
    "touch /x",
    "touch /etc/x",
    "touch /home/node/x",
    "echo x >> /etc/passwd",
    "rm -rf /bin/sh",
    "mkdir /home/node/.config",
    // Programs out of the one writable place that is not the tenant's own data.
    "cp /bin/true /tmp/t && chmod +x /tmp/t && /tmp/t",
    // Mounts and namespaces.
    "mount -t tmpfs none /mnt",
    "mount -o remount,rw /",
    "mount -t proc proc /proc",
    "umount /tmp",
    "unshare -m true",
    "unshare -r true",
    "unshare -n true",
    "unshare -U true",
    "nsenter -t 1 -n true",
    "/usr/sbin/chroot / /bin/true",
    // Devices.
    "mknod /tmp/d b 8 0",
    "mknod /tmp/m c 1 1",
    "head -c 1 /dev/sda",
    "head -c 1 /dev/vda",
    "head -c 1 /dev/mem",
    "head -c 1 /dev/kmsg",
    "ls /dev | grep -E '^(kvm|fuse|loop|sd|vd|nvme|mapper|port|net|tun|uinput)'",
    // Kernel settings and information.
    "echo 1 > /proc/sys/kernel/panic",
    "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "echo b > /proc/sysrq-trigger",
    "echo x > /proc/sys/kernel/core_pattern",
    "head -c 1 /proc/kcore",
    "dmesg | grep -q .",
    "echo x > /proc/sys/kernel/modprobe",
    "echo :x:M::x::/bin/sh: > /proc/sys/fs/binfmt_misc/register",
    "echo 1 > /proc/sys/vm/overcommit_memory",
    "grep -q . /proc/keys",
    "grep -q . /proc/timer_list",
    "ls /sys/firmware | grep -q .",
    "echo 1 > /sys/kernel/uevent_helper",
    "mkdir /sys/fs/cgroup/x",
    "mkdir /sys/fs/cgroup/memory/x",
    "echo 0 > /sys/fs/cgroup/memory/release_agent",
    // Its own limits, by both versions of control groups, and the kernel's choice of whom to kill.
    "echo -1 > /sys/fs/cgroup/memory/memory.limit_in_bytes",
    "echo max > /sys/fs/cgroup/memory.max",
    "echo -1 > /sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    "echo max > /sys/fs/cgroup/pids/pids.max",
    "echo a > /sys/fs/cgroup/devices/devices.allow",
    "echo $$ > /sys/fs/cgroup/memory/cgroup.procs",
    "echo -1000 > /proc/self/oom_score_adj",
    "renice -n -5 $$",
    // Processes that are not its own.
    "grep -qsxE 'dockerd|containerd|kthreadd' /proc/[0-9]*/comm",
    "ls /proc/1/root/var/lib/docker",
    // Identity and privilege.
    "chown 0:0 /tmp",
    "touch /tmp/s && chown 0 /tmp/s",
    "su -c true",
    "kill -9 1 && sleep 1 && false",
    "hostname x",
    "date -s 2000-01-01; test \"$(date +%Y)\" = 2000",
    "echo 1 > /proc/sys/net/ipv4/conf/lo/forwarding",
    // The engine.
    "test -S /var/run/docker.sock",
    "test -S /run/docker.sock",
    "test -S /run/containerd/containerd.sock",
];

#[tokio::test]
async fn a23_nothing_inside_gets_out() {
    with_tenant(|engine, t| async move {
        let id = t.created(plan("free")).await;
        // With an owned data directory, as every instance has it.
        let none = Vec::new();
        t.backend
            .put_files(&t.host, &id, openclaw_tenancy::container::DATA_PATH, none)
            .await
            .unwrap();
        t.start(&id).await.unwrap();
        let mut open = Vec::new();
        for command in REFUSED {
            let ran = engine.run(&id.0, command).await;
            // What is not tried is not refused either.
            assert!(
                ran.code != 127 && !ran.output.contains("not found"),
                "{command} needs a program that the image lacks: {}",
                ran.output
            );
            if ran.code == 0 {
                open.push(format!("{command}: {}", ran.output));
            }
        }
        assert!(
            open.is_empty(),
            "{} of {} got through: {open:#?}",
            open.len(),
            REFUSED.len()
        );
        println!("{} probes, none got through", REFUSED.len());
    })
    .await;
}

#[tokio::test]
async fn a23_the_process_has_no_privilege_and_the_seccomp_filter() {
    with_tenant(|engine, t| async move {
        let id = t.created(plan("free")).await;
        t.start(&id).await.unwrap();
        let status = engine.run(&id.0, "cat /proc/self/status").await.output;
        let field = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default();
            line.trim_start_matches(':').trim().to_owned()
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!(field("NoNewPrivs"), "1");
        assert_eq!(field("Seccomp"), "2");
        assert_eq!(field("Uid"), "1000\t1000\t1000\t1000");
        assert_eq!(field("Gid"), "1000\t1000\t1000\t1000");
        // One process of ours, an init before it, nobody else's.
        let first = engine
            .run(&id.0, "tr '\\0' ' ' < /proc/1/cmdline")
            .await
            .output;
        assert!(first.contains("init"), "{first}");
    })
    .await;
}

#[tokio::test]
async fn a23_inspect_shows_the_hardened_form() {
    with_tenant(|engine, t| async move {
        let id = t.created(plan("free")).await;
        t.start(&id).await.unwrap();
        let shown = engine.inspect(&id.0).await;
        let host = &shown["HostConfig"];
        for (field, expected) in [
            ("Privileged", json!(false)),
            ("ReadonlyRootfs", json!(true)),
            ("CapDrop", json!(["ALL"])),
            ("CapAdd", Value::Null),
            ("SecurityOpt", json!(["no-new-privileges"])),
            ("Binds", Value::Null),
            ("Devices", Value::Null),
            ("PidMode", json!("")),
            ("IpcMode", json!("private")),
            ("UTSMode", json!("")),
            ("UsernsMode", json!("")),
            ("VolumesFrom", Value::Null),
            ("PublishAllPorts", json!(false)),
            ("Init", json!(true)),
            ("AutoRemove", json!(false)),
            ("GroupAdd", Value::Null),
        ] {
            let shown = &host[field];
            // Newer engines show an empty list where older ones show null.
            let empty = shown.as_array().is_some_and(Vec::is_empty) && expected.is_null();
            assert!(*shown == expected || empty, "{field}: {shown}");
        }
        assert_eq!(host["RestartPolicy"]["Name"], "no");
        assert!(
            host["PortBindings"]
                .as_object()
                .is_none_or(serde_json::Map::is_empty)
        );
        assert_eq!(shown["Config"]["User"], "1000:1000");
        assert_eq!(shown["Config"]["Healthcheck"]["Test"], json!(["NONE"]));
        let networks = shown["NetworkSettings"]["Networks"].as_object().unwrap();
        assert_eq!(networks.keys().collect::<Vec<_>>(), [&t.name(&t.network())]);
        let mounts = shown["Mounts"].as_array().unwrap();
        assert!(
            mounts.iter().all(|mount| mount["Type"] == "volume"),
            "{mounts:?}"
        );
        assert_eq!(mounts.len(), 2);
        let ports = shown["NetworkSettings"]["Ports"].as_object();
        assert!(
            ports.is_none_or(|ports| ports.values().all(Value::is_null)),
            "{ports:?}"
        );
    })
    .await;
}
