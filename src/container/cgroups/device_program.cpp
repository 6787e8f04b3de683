// Device rules on cgroup v2: a program of type BPF_PROG_TYPE_CGROUP_DEVICE (kernel documentation: bpf/, and
// linux/bpf.h), called for each access with struct bpf_cgroup_dev_ctx.
#include "base/file_descriptor.hpp"
#include "container/cgroups/controllers.hpp"

#include <array>
#include <fcntl.h>
#include <linux/bpf.h>
#include <ranges>
#include <sys/syscall.h>
#include <unistd.h>

namespace strata::container::v2 {
namespace {

constexpr std::uint8_t result = BPF_REG_0, context = BPF_REG_1, type = BPF_REG_2, access = BPF_REG_3,
                       major = BPF_REG_4, minor = BPF_REG_5, scratch = BPF_REG_1;

bpf_insn instruction(int code, std::uint8_t to, std::uint8_t from, std::int16_t offset,
                     std::int32_t immediate) {
    bpf_insn made{};
    made.code = static_cast<std::uint8_t>(code);
    made.dst_reg = to & 0xF;
    made.src_reg = from & 0xF;
    made.off = offset;
    made.imm = immediate;
    return made;
}

class DeviceProgram {
public:
    DeviceProgram() {
        // access_type holds the kind in its low half, the wanted access in its high one.
        add(instruction(BPF_LDX | BPF_MEM | BPF_W, type, context, offsetof(bpf_cgroup_dev_ctx, access_type),
                        0));
        add(instruction(BPF_ALU64 | BPF_MOV | BPF_X, access, type, 0, 0));
        add(instruction(BPF_ALU | BPF_AND | BPF_K, type, 0, 0, 0xFFFF));
        add(instruction(BPF_ALU | BPF_RSH | BPF_K, access, 0, 0, 16));
        add(instruction(BPF_LDX | BPF_MEM | BPF_W, major, context, offsetof(bpf_cgroup_dev_ctx, major), 0));
        add(instruction(BPF_LDX | BPF_MEM | BPF_W, minor, context, offsetof(bpf_cgroup_dev_ctx, minor), 0));
    }

    // Falls through to the next rule unless this one decides. Called with the last rule first.
    void add_rule(const DeviceRule& rule) {
        std::vector<bpf_insn> body;
        if (rule.type != 'a') {
            body.push_back(jump_to_next(type, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR));
        }
        std::int32_t mask = 0;
        for (const char letter : rule.access) {
            mask |= letter == 'r'   ? BPF_DEVCG_ACC_READ
                    : letter == 'w' ? BPF_DEVCG_ACC_WRITE
                                    : BPF_DEVCG_ACC_MKNOD;
        }
        // Allowing decides if all that is wanted is allowed; denying, if anything that is wanted is denied.
        body.push_back(instruction(BPF_ALU | BPF_MOV | BPF_X, scratch, access, 0, 0));
        body.push_back(instruction(BPF_ALU | BPF_AND | BPF_K, scratch, 0, 0, mask));
        body.push_back(rule.allow ? instruction(BPF_JMP | BPF_JNE | BPF_X, scratch, access, 0, 0)
                                  : instruction(BPF_JMP | BPF_JEQ | BPF_K, scratch, 0, 0, 0));
        if (rule.major) {
            body.push_back(jump_to_next(major, static_cast<std::int32_t>(*rule.major)));
        }
        if (rule.minor) {
            body.push_back(jump_to_next(minor, static_cast<std::int32_t>(*rule.minor)));
        }
        body.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, result, 0, 0, rule.allow ? 1 : 0));
        body.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
        for (std::size_t i = 0; i < body.size(); ++i) {
            const auto operation = body[i].code;
            if ((operation & 7) == BPF_JMP && operation != (BPF_JMP | BPF_EXIT)) {
                body[i].off = static_cast<std::int16_t>(body.size() - i - 1);
            }
            add(body[i]);
        }
    }

    std::vector<bpf_insn>& finish() {
        add(instruction(BPF_ALU64 | BPF_MOV | BPF_K, result, 0, 0, 0));
        add(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
        return instructions_;
    }

private:
    static bpf_insn jump_to_next(std::uint8_t reg, std::int32_t unless) {
        return instruction(BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, unless);
    }

    void add(const bpf_insn& item) { instructions_.push_back(item); }

    std::vector<bpf_insn> instructions_;
};

int bpf(int command, bpf_attr& attributes) {
    return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

Result<FileDescriptor> load(std::vector<bpf_insn>& instructions) {
    static constexpr char licence[] = "GPL";
    bpf_attr attributes{};
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insns = reinterpret_cast<std::uint64_t>(instructions.data());
    attributes.insn_cnt = static_cast<std::uint32_t>(instructions.size());
    attributes.license = reinterpret_cast<std::uint64_t>(licence);
    FileDescriptor program(bpf(BPF_PROG_LOAD, attributes));
    if (!program) {
        return fail_errno("load", "the device rules as an eBPF program", errno,
                          "device rules on cgroup v2 need CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN");
    }
    return program;
}

// Programs attached before: replaced, once the new one is in place.
std::vector<FileDescriptor> attached_programs(int cgroup) {
    std::array<std::uint32_t, 64> ids{};
    bpf_attr query{};
    query.query.target_fd = static_cast<std::uint32_t>(cgroup);
    query.query.attach_type = BPF_CGROUP_DEVICE;
    query.query.prog_ids = reinterpret_cast<std::uint64_t>(ids.data());
    query.query.prog_cnt = ids.size();
    std::vector<FileDescriptor> programs;
    if (bpf(BPF_PROG_QUERY, query) == 0) {
        for (std::uint32_t i = 0; i < query.query.prog_cnt; ++i) {
            bpf_attr open{};
            open.prog_id = ids[i];
            programs.emplace_back(bpf(BPF_PROG_GET_FD_BY_ID, open));
        }
    }
    return programs;
}

} // namespace

Result<void> set_devices(const std::string& directory, const std::vector<DeviceRule>& rules) {
    DeviceProgram program;
    for (const DeviceRule& rule : std::views::reverse(rules)) {
        program.add_rule(rule);
    }
    const auto loaded = load(program.finish());
    if (!loaded) {
        return std::unexpected(loaded.error());
    }
    const FileDescriptor cgroup(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!cgroup) {
        return fail_errno("open", directory);
    }
    const auto earlier = attached_programs(cgroup.get());
    bpf_attr attach{};
    attach.target_fd = static_cast<std::uint32_t>(cgroup.get());
    attach.attach_bpf_fd = static_cast<std::uint32_t>(loaded->get());
    attach.attach_type = BPF_CGROUP_DEVICE;
    attach.attach_flags = BPF_F_ALLOW_MULTI;
    if (bpf(BPF_PROG_ATTACH, attach) != 0) {
        return fail_errno("attach", "the device rules to " + directory);
    }
    for (const FileDescriptor& old : earlier) {
        bpf_attr detach{};
        detach.target_fd = static_cast<std::uint32_t>(cgroup.get());
        detach.attach_bpf_fd = static_cast<std::uint32_t>(old.get());
        detach.attach_type = BPF_CGROUP_DEVICE;
        bpf(BPF_PROG_DETACH, detach);
    }
    return {};
}

} // namespace strata::container::v2
