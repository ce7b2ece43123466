/** @type {import('next').NextConfig} */
const nextConfig = { basePath: "/shop", reactStrictMode: true };

module.exports = nextConfig;
