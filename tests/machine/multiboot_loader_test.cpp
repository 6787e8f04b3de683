#include "elf_image.hpp"

#include "cpu/x86/registers.hpp"

namespace strata::machine::test {
namespace {

namespace x86 = cpu::x86;

constexpr std::uint32_t load = 1;
constexpr std::uint32_t align_modules = 1 << 0, video_mode = 1 << 2, addresses = 1 << 16;

Bytes header(std::uint32_t flags) {
    Bytes bytes;
    put<std::uint32_t>(bytes, 0, 0x1BAD'B002);
    put(bytes, 4, flags);
    put(bytes, 8, 0U - 0x1BAD'B002U - flags);
    return bytes;
}

Bytes elf_kernel(std::uint32_t flags = align_modules) {
    Bytes code = header(flags);
    put_text(code, 12, "kernel");
    return elf32(0x10'000C, {{load, 0x10'0000, 0x1000, code}});
}

// 16 bytes, then the header, then text; loaded so that the text is at 0x20'0030.
Bytes flat_kernel() {
    Bytes bytes(16);
    const auto head = header(addresses);
    bytes.insert(bytes.end(), head.begin(), head.end());
    put<std::uint32_t>(bytes, 16 + 12, 0x20'0010); // header_addr
    put<std::uint32_t>(bytes, 16 + 16, 0x20'0000); // load_addr
    put<std::uint32_t>(bytes, 16 + 20, 0);         // load_end_addr: all of the file
    put<std::uint32_t>(bytes, 16 + 24, 0x20'1000); // bss_end_addr
    put<std::uint32_t>(bytes, 16 + 28, 0x20'0030); // entry_addr
    put_text(bytes, 48, "flat");
    return bytes;
}

class MultibootLoader : public BootFixture {};

TEST_F(MultibootLoader, StartsAnElfKernelWithItsInformation) {
    const auto image = elf_kernel();
    const auto first = Bytes(5000, std::byte{1}), second = Bytes(3, std::byte{2});
    auto boot = request(image, "verbose");
    boot.modules.push_back({{"one.bin", first}, {}});
    boot.modules.push_back({{"two.bin", second}, "a=b"});
    const auto state = loader::load(boot, target());
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(state->rip, 0x10'000C);
    EXPECT_EQ(state->gpr[x86::rax], 0x2BAD'B002U);
    EXPECT_EQ(read_string(0x10'000C), "kernel");

    const auto info = state->gpr[x86::rbx];
    const auto flags = read<std::uint32_t>(info);
    EXPECT_EQ(flags, (1U << 0) | (1U << 2) | (1U << 3) | (1U << 6) | (1U << 9));
    EXPECT_EQ(read<std::uint32_t>(info + 4), 639U);
    EXPECT_EQ(read<std::uint32_t>(info + 8), 127U * 1024);
    EXPECT_EQ(read_string(read<std::uint32_t>(info + 16)), "test-kernel verbose");
    EXPECT_EQ(read_string(read<std::uint32_t>(info + 64)), "Strata");
    ASSERT_EQ(read<std::uint32_t>(info + 20), 2U);
    const auto modules = read<std::uint32_t>(info + 24);
    const auto start = read<std::uint32_t>(modules);
    EXPECT_EQ(start % 4096, 0U);
    EXPECT_EQ(read<std::uint32_t>(modules + 4) - start, first.size());
    EXPECT_EQ(read_bytes(start, first.size()), first);
    EXPECT_EQ(read_string(read<std::uint32_t>(modules + 8)), "one.bin");
    EXPECT_EQ(read_bytes(read<std::uint32_t>(modules + 16), second.size()), second);
    EXPECT_EQ(read_string(read<std::uint32_t>(modules + 24)), "two.bin a=b");
    const auto map = read<std::uint32_t>(info + 48);
    EXPECT_EQ(read<std::uint32_t>(info + 44), e820_.size() * 24);
    EXPECT_EQ(read<std::uint32_t>(map), 20U);
    EXPECT_EQ(read<std::uint64_t>(map + 4), e820_[0].base);
    EXPECT_EQ(read<std::uint64_t>(map + 12), e820_[0].size);
    EXPECT_EQ(read<std::uint32_t>(map + 20), 1U);
}

TEST_F(MultibootLoader, StartsAKernelThatTellsItsAddresses) {
    const auto image = flat_kernel();
    ASSERT_TRUE(memory_->write(0x20'0FFF, "x", 1)); // bss
    const auto state = loader::load(request(image), target());
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(state->rip, 0x20'0030);
    EXPECT_EQ(read_string(0x20'0030), "flat");
    EXPECT_EQ(read<std::uint8_t>(0x20'0FFF), 0);
}

TEST_F(MultibootLoader, AVideoModeIsARequestThatMayFail) {
    EXPECT_TRUE(loader::load(request(elf_kernel(video_mode)), target()));
}

TEST_F(MultibootLoader, RefusesWhatItCannotBoot) {
    EXPECT_EQ(refusal(elf_kernel(1 << 4)),
              "kernel test-kernel: Multiboot: the header asks for something unknown (flags 0x10)");
    EXPECT_EQ(refusal(header(0)), "kernel test-kernel: Multiboot: neither an ELF file nor one with load "
                                  "addresses in its header (flag 16)");

    auto before = flat_kernel();
    put<std::uint32_t>(before, 16 + 16, 0x1F'0000);
    EXPECT_EQ(refusal(before),
              "kernel test-kernel: Multiboot: the load address does not fit the header's place in the file");

    auto longer = flat_kernel();
    put<std::uint32_t>(longer, 16 + 20, 0x20'2000);
    EXPECT_EQ(refusal(longer),
              "kernel test-kernel: Multiboot: the file is shorter than the addresses in its header say");

    auto backwards = flat_kernel();
    put<std::uint32_t>(backwards, 16 + 20, 0x1F'0000);
    EXPECT_EQ(refusal(backwards),
              "kernel test-kernel: Multiboot: the file is shorter than the addresses in its header say");

    auto small_bss = flat_kernel();
    put<std::uint32_t>(small_bss, 16 + 24, 0x20'0010);
    EXPECT_EQ(refusal(small_bss), "kernel test-kernel: Multiboot: the bss ends before the loaded part");
}

TEST_F(MultibootLoader, AHeaderBehindTheFirst8KiBIsNone) {
    Bytes image(8192);
    const auto head = header(addresses);
    image.insert(image.end(), head.begin(), head.end());
    EXPECT_EQ(refusal(image), "kernel test-kernel: not a kernel in a format known here");
}

} // namespace
} // namespace strata::machine::test
