// Direct boot: puts a kernel into guest memory as its boot protocol asks and says in which state the boot
// processor starts. The images are byte spans, so that a fuzzer can drive every parser.
#pragma once

#include "base/error.hpp"
#include "cpu/x86/state.hpp"
#include "machine/tables/e820.hpp"
#include "memory/guest_memory.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata::machine::loader {

// A file's contents; `name` is how messages call it.
struct Image {
    std::string name;
    std::span<const std::byte> bytes;
};

struct Module {
    Image image;
    std::string arguments; // follow the name in a Multiboot module's string
};

struct BootRequest {
    Image kernel;
    std::vector<Module> modules; // Linux: one at most, the initial RAM disk
    std::string command_line;
};

// The machine that the kernel finds.
struct BootTarget {
    memory::GuestMemory& memory;
    std::span<const E820Entry> e820;
    memory::GuestPhysical rsdp = 0; // ACPI's root pointer
    bool long_mode = true;          // the processors have it
};

enum class Format : std::uint8_t { linux_bzimage, multiboot, elf, unknown };

[[nodiscard]] Format detect_format(std::span<const std::byte> kernel);
[[nodiscard]] std::string_view format_name(Format format);

// Loads by the kernel's own format.
[[nodiscard]] Result<cpu::x86::State> load(const BootRequest& request, const BootTarget& target);

// The protocols, each in its file.
[[nodiscard]] Result<cpu::x86::State> load_linux(const BootRequest& request, const BootTarget& target);
[[nodiscard]] Result<cpu::x86::State> load_multiboot(const BootRequest& request, const BootTarget& target);
[[nodiscard]] Result<cpu::x86::State> load_pvh(const BootRequest& request, const BootTarget& target);

} // namespace strata::machine::loader
