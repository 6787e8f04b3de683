#include "vm/boot_files.hpp"

#include "base/file.hpp"

namespace strata::vm {
namespace {

// So that a Linux kernel started without --append shows itself.
std::string default_command_line(const machine::loader::Image& kernel) {
    using machine::loader::Format;
    return machine::loader::detect_format(kernel.bytes) == Format::linux_bzimage ? "console=ttyS0" : "";
}

} // namespace

Result<BootFiles> BootFiles::read(const MachineConfig& config) {
    BootFiles files;
    auto kernel = read_file(config.kernel, "kernel", config.memory);
    if (!kernel) {
        return std::unexpected(kernel.error());
    }
    // Spans stay valid while the outer vector grows: moving a vector does not move its elements.
    files.contents_.push_back(std::move(*kernel));
    files.request_.kernel = {config.kernel, files.contents_.back()};
    for (const ModuleConfig& module : config.modules) {
        auto contents = read_file(module.path, "initial RAM disk or module", config.memory);
        if (!contents) {
            return std::unexpected(contents.error());
        }
        files.contents_.push_back(std::move(*contents));
        files.request_.modules.push_back({{module.path, files.contents_.back()}, module.arguments});
    }
    files.request_.command_line = config.command_line.value_or(default_command_line(files.request_.kernel));
    return files;
}

} // namespace strata::vm
