#include "boot_fixture.hpp"

#include "cpu/x86/registers.hpp"

namespace strata::machine::test {
namespace {

using namespace memory_map;
namespace x86 = cpu::x86;

constexpr std::uint64_t setup_size = 2 * 512, payload_size = 0x3000;

// A bzImage whose protected-mode part is filled with a pattern.
Bytes bzimage(std::uint16_t version = 0x20F) {
    Bytes image(setup_size + payload_size, std::byte{0xA5});
    std::fill(image.begin(), image.begin() + setup_size, std::byte{0});
    put<std::uint8_t>(image, 0x1F1, 1);                  // setup sectors
    put<std::uint32_t>(image, 0x1F4, payload_size / 16); // syssize
    put<std::uint16_t>(image, 0x1FE, 0xAA55);
    put<std::uint16_t>(image, 0x200, 0x66EB); // jump over the header
    put_text(image, 0x202, "HdrS");
    put<std::uint16_t>(image, 0x206, version);
    put<std::uint8_t>(image, 0x211, 1);            // loaded high
    put<std::uint32_t>(image, 0x22C, 0x7FFF'FFFF); // initrd_addr_max
    put<std::uint32_t>(image, 0x230, 0x20'0000);   // kernel_alignment
    put<std::uint8_t>(image, 0x234, 1);            // relocatable
    put<std::uint16_t>(image, 0x236, 1);           // 64-bit entry
    put<std::uint32_t>(image, 0x238, 255);         // cmdline_size
    put<std::uint64_t>(image, 0x258, 0x100'0000);  // pref_address
    put<std::uint32_t>(image, 0x260, 0x40'0000);   // init_size
    return image;
}

class LinuxLoader : public BootFixture {};

TEST_F(LinuxLoader, EntersA64BitKernelInLongModeWhereItPrefersToBe) {
    const auto image = bzimage();
    const auto state = loader::load(request(image, "console=ttyS0"), target());
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(state->rip, 0x100'0200);
    EXPECT_TRUE(state->system.efer & x86::efer::lma);
    EXPECT_TRUE(state->system.cr0 & x86::cr0::pg);
    EXPECT_FALSE(state->rflags & x86::flag::if_);
    EXPECT_EQ(state->system.segments[x86::cs].selector, 0x10);
    EXPECT_TRUE(state->system.segments[x86::cs].long_mode());
    EXPECT_EQ(state->system.segments[x86::ds].selector, 0x18);
    EXPECT_EQ(read_bytes(0x100'0000, payload_size), Bytes(payload_size, std::byte{0xA5}));
}

TEST_F(LinuxLoader, MapsTheLow4GiBOneToOne) {
    const auto image = bzimage();
    const auto state = loader::load(request(image), target());
    ASSERT_TRUE(state);
    for (const std::uint64_t address :
         {std::uint64_t{0}, std::uint64_t{0x100'0000}, std::uint64_t{0xFEE0'0000}}) {
        const auto pdpt = read<std::uint64_t>(state->system.cr3) & ~std::uint64_t{0xFFF};
        const auto directory = read<std::uint64_t>(pdpt + (address >> 30) * 8) & ~std::uint64_t{0xFFF};
        const auto entry = read<std::uint64_t>(directory + ((address >> 21) & 511) * 8);
        EXPECT_EQ(entry & ~std::uint64_t{0x1F'FFFF}, address & ~std::uint64_t{0x1F'FFFF});
        EXPECT_TRUE(entry & x86::pte::large);
        EXPECT_TRUE(entry & x86::pte::present);
    }
}

TEST_F(LinuxLoader, FillsInTheBootParameters) {
    const auto image = bzimage();
    const auto initrd = Bytes(5000, std::byte{0x5A});
    auto boot = request(image, "root=/dev/vda quiet");
    boot.modules.push_back({{"initrd", initrd}, {}});
    const auto state = loader::load(boot, target());
    ASSERT_TRUE(state);
    const auto page = state->gpr[x86::rsi];
    EXPECT_EQ(read<std::uint8_t>(page + 0x210), 0xFF); // type_of_loader
    EXPECT_EQ(read<std::uint64_t>(page + 0x70), rsdp);
    EXPECT_EQ(read_string(read<std::uint32_t>(page + 0x228)), "root=/dev/vda quiet");
    EXPECT_EQ(read<std::uint16_t>(page + 0x206), 0x20F);
    const auto ramdisk = read<std::uint32_t>(page + 0x218);
    EXPECT_EQ(read<std::uint32_t>(page + 0x21C), initrd.size());
    EXPECT_EQ(read_bytes(ramdisk, initrd.size()), initrd);
    EXPECT_EQ(ramdisk % 4096, 0U);
    EXPECT_GE(ramdisk, 0x100'0000U + 0x40'0000); // not where the kernel will unpack itself
    ASSERT_EQ(read<std::uint8_t>(page + 0x1E8), e820_.size());
    for (std::size_t i = 0; i < e820_.size(); ++i) {
        EXPECT_EQ(read<std::uint64_t>(page + 0x2D0 + 20 * i), e820_[i].base);
        EXPECT_EQ(read<std::uint64_t>(page + 0x2D0 + 20 * i + 8), e820_[i].size);
        EXPECT_EQ(read<std::uint32_t>(page + 0x2D0 + 20 * i + 16), static_cast<std::uint32_t>(e820_[i].type));
    }
    EXPECT_EQ(read<std::uint32_t>(page + 0x1E0), 127U * 1024); // memory above 1 MiB in KiB
}

TEST_F(LinuxLoader, EntersInProtectedModeOnAProcessorWithoutLongMode) {
    const auto image = bzimage();
    const auto state = loader::load(request(image), target(false));
    ASSERT_TRUE(state);
    EXPECT_EQ(state->rip, 0x100'0000);
    EXPECT_EQ(state->system.efer, 0U);
    EXPECT_EQ(state->system.cr0 & (x86::cr0::pe | x86::cr0::pg), x86::cr0::pe);
    EXPECT_TRUE(state->system.segments[x86::cs].big());
    EXPECT_EQ(state->system.segments[x86::cs].limit, 0xFFFF'FFFF);
}

TEST_F(LinuxLoader, LoadsAKernelThatCannotMoveAt1MiB) {
    auto image = bzimage(0x204);
    put<std::uint8_t>(image, 0x234, 0);
    const auto state = loader::load(request(image), target());
    ASSERT_TRUE(state);
    EXPECT_EQ(state->rip, high_memory);
    EXPECT_EQ(state->system.efer, 0U); // no 64-bit entry before protocol 2.12
}

TEST_F(LinuxLoader, RefusesWhatItCannotBoot) {
    EXPECT_EQ(refusal(bzimage(0x201)), "kernel test-kernel: Linux boot protocol 2.01 is too old");

    auto cut_in_setup = bzimage();
    cut_in_setup.resize(0x260);
    EXPECT_EQ(refusal(cut_in_setup), "kernel test-kernel: the setup code is cut off");

    auto cut = bzimage();
    cut.resize(cut.size() - 0x1000);
    EXPECT_EQ(refusal(cut), "kernel test-kernel: the file ends after 9216 bytes of 13312");

    auto misaligned = bzimage();
    put<std::uint32_t>(misaligned, 0x230, 3);
    EXPECT_EQ(refusal(misaligned), "kernel test-kernel: impossible kernel alignment 0x3");

    auto huge = bzimage();
    put<std::uint32_t>(huge, 0x260, 0xFFFF'FFFF);
    EXPECT_NE(refusal(huge).find("which is not free RAM"), std::string::npos);
}

TEST_F(LinuxLoader, RefusesACommandLineThatIsTooLong) {
    const auto image = bzimage();
    const auto state = loader::load(request(image, std::string(256, 'x')), target());
    ASSERT_FALSE(state);
    EXPECT_EQ(state.error().message, "the kernel command line has 256 characters; this kernel takes 255");
}

TEST_F(LinuxLoader, RefusesARamdiskThatDoesNotFit) {
    const auto image = bzimage();
    const auto initrd = Bytes(std::size_t{200} << 20);
    auto boot = request(image);
    boot.modules.push_back({{"big.img", initrd}, {}});
    const auto state = loader::load(boot, target());
    ASSERT_FALSE(state);
    EXPECT_NE(state.error().message.find("big.img"), std::string::npos);
    EXPECT_FALSE(state.error().hint.empty());
}

TEST_F(LinuxLoader, EveryTruncationIsRefused) {
    const auto image = bzimage();
    constexpr std::size_t paragraph = 16; // the header counts the size in these
    for (std::size_t size = 0; size <= image.size() - paragraph; size += 7) {
        const Bytes cut(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(loader::load(request(cut), target())) << size;
    }
}

} // namespace
} // namespace strata::machine::test
